//! A proxy that wants a sign-in: known at once, no outage, and said with what to do; at the API and at the sign-in.

use std::time::{Duration, Instant};

use crate::machines::rows_adding;
use crate::process::at_once;
use crate::rehearsal::Rehearsal;
use crate::stand_in::{Reply, StandIn};

#[test]
fn a_proxy_that_wants_a_sign_in_ends_the_run_at_once_with_what_to_do() {
    at_once([false, true], |signs_in| {
        let proxy = StandIn::answering(|_request| Reply::json(407, ""));
        let address = proxy.variables()[0].1.replace("http://", "http://jane:hunter2@");
        let rehearsal = Rehearsal::at_nobody()
            .variable("HTTPS_PROXY", &address)
            .variable("TAGFLEET_TOKEN", if signs_in { "" } else { "ready-made" })
            .variable("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000001")
            .variable("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000002")
            .variable("AZURE_CLIENT_SECRET", "wrong");
        let since = Instant::now();
        let outcome = rehearsal.planned().rows(&rows_adding("A", 3)).with("-vv").run().exits(4);
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
        let text = format!("{}{}", outcome.output(), outcome.messages());
        for words in ["proxy", "put the proxy's user name and password into HTTPS_PROXY"] {
            assert!(text.contains(words), "sign-in {signs_in}: {words:?} is not in: {text}");
        }
        let asked: Vec<String> =
            proxy.requests().into_iter().map(|request| format!("{} {}", request.method, request.path)).collect();
        let host = if signs_in { "login.microsoftonline.com" } else { "api.security.microsoft.com" };
        assert_eq!(asked, [format!("CONNECT {host}:443")]);
        assert!(!text.contains("hunter2") && outcome.folder().files_holding("hunter2").is_empty(), "{text}");
    });
}
