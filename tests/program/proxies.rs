//! A proxy that wants a sign-in: known at once, no outage, and said with what to do; at the API and at the sign-in.

use crate::machines::rows_adding;
use crate::process::{SOON, at_once};
use crate::rehearsal::Rehearsal;
use crate::stand_in::{Reply, StandIn};

#[test]
fn a_proxy_that_wants_a_sign_in_ends_the_run_at_once_with_what_to_do() {
    let odd = "HTTP/1.1 407 P\r\nProxy-Authenticate: Basic realm=\"\u{1b}]52;c;aGk=\u{7}\"\r\n\r\n";
    at_once([(false, None), (true, None), (false, Some(odd)), (true, Some(odd))], |(signs_in, odd)| {
        let proxy = StandIn::answering(move |_request| odd.map_or_else(|| Reply::json(407, ""), Reply::Trickle));
        let address = proxy.variables()[0].1.replace("http://", "http://jane:hunter2@");
        let rehearsal = Rehearsal::at_nobody()
            .variable("HTTPS_PROXY", &address)
            .variable("TAGFLEET_TOKEN", if signs_in { "" } else { "ready-made" })
            .variable("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000001")
            .variable("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000002")
            .variable("AZURE_CLIENT_SECRET", "wrong");
        let outcome = rehearsal.planned().rows(&rows_adding("A", 3)).with("-vv").run().exits(4);
        assert!(proxy.requests()[0].at.elapsed() < SOON, "{:?}", proxy.requests());
        let text = format!("{}{}", outcome.output(), outcome.messages());
        for words in ["proxy", "put the proxy's user name and password into HTTPS_PROXY"] {
            assert!(text.contains(words), "sign-in {signs_in}, {odd:?}: {words:?} is not in: {text}");
        }
        let asked: Vec<String> =
            proxy.requests().into_iter().map(|request| format!("{} {}", request.method, request.path)).collect();
        let host = if signs_in { "login.microsoftonline.com" } else { "api.security.microsoft.com" };
        // Of a head that is odd, the status is asked for once more.
        assert_eq!(asked, vec![format!("CONNECT {host}:443"); if odd.is_some() { 2 } else { 1 }]);
        assert!(!text.contains("hunter2") && outcome.folder().files_holding("hunter2").is_empty(), "{text}");
    });
}
