//! `tagfleet sandbox` as a child process, and a client of its API that shares nothing with the program.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::machines;
use crate::process::{PATIENCE, Program};

/// What a test's sandbox has unless it asks for something else: no machines but those that are named, and no quota.
const DEFAULTS: [(&str, &str); 4] =
    [("--listen", "127.0.0.1:0"), ("--machines", "0"), ("--any-machine", ""), ("--quota", "off")];

/// A sandbox that serves until it is dropped.
pub(crate) struct Sandbox {
    program: Program,
    variables: Vec<(String, String)>,
}

/// A machine as the sandbox's list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Its tags, sorted.
    pub(crate) tags: Vec<String>,
    /// Its device value.
    pub(crate) value: String,
}

/// What a sandbox counted from its start to its end.
#[derive(Debug)]
pub(crate) struct Counters(BTreeMap<String, u64>);

impl Sandbox {
    /// Starts a sandbox with these options, in addition to or in place of [`DEFAULTS`].
    #[track_caller]
    pub(crate) fn start(options: &str) -> Self {
        let is_named = |name: &str| options.split_whitespace().any(|option| option == name);
        let defaults: Vec<String> = DEFAULTS
            .into_iter()
            .filter(|(name, _)| !is_named(name))
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        Self::start_exactly(&format!("{} {options}", defaults.join(" ")))
    }

    /// Starts a sandbox with these options and no others.
    #[track_caller]
    pub(crate) fn start_exactly(options: &str) -> Self {
        let mut command = Program::command();
        command.arg("sandbox").args(options.split_whitespace());
        let program = Program::start(command, None, true);
        let variables = program.first_lines(5).into_iter().map(|line| {
            let (name, value) = line.split_once('=').expect("NAME=value");
            (name.to_owned(), value.to_owned())
        });
        Self { variables: variables.collect(), program }
    }

    /// Starts a sandbox that holds these machines and no others, without a quota.
    #[track_caller]
    pub(crate) fn holding(machines: &[u32]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("machines.csv");
        let lines: String = machines.iter().map(|machine| machines::id(*machine) + "\n").collect();
        std::fs::write(&file, lines).expect("our own directory");
        Self::start_exactly(&format!("--listen 127.0.0.1:0 --quota off --machines-file {}", file.display()))
    }

    /// What tells the program where the sandbox is and how to sign in, as the sandbox itself printed it.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    fn address(&self) -> &str {
        self.variables[0].1.strip_prefix("http://").expect("loopback goes without TLS")
    }

    /// A token, as any client would get one.
    pub(crate) fn token(&self) -> String {
        let form = "grant_type=client_credentials&client_id=tests&client_secret=tests\
                    &scope=https%3A%2F%2Fapi.securitycenter.microsoft.com%2F.default";
        let head = "POST /tests/oauth2/v2.0/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";
        let (status, body) = self.exchange(head, form);
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// All machines that it lists, by their ids.
    #[track_caller]
    pub(crate) fn machines(&self) -> BTreeMap<String, Machine> {
        let head = format!("GET /api/machines?$top=10000 HTTP/1.1\r\nAuthorization: Bearer {}", self.token());
        let (status, body) = self.exchange(&head, "");
        if status == 404 {
            return BTreeMap::new();
        }
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let machines = answer["value"].as_array().expect("a list").iter().map(|machine| {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let mut tags: Vec<String> = machine["machineTags"].as_array().expect("a list").iter().map(text).collect();
            tags.sort();
            (text(&machine["id"]), Machine { tags, value: text(&machine["deviceValue"]) })
        });
        machines.collect()
    }

    /// This machine; one that was never named has no tags.
    #[track_caller]
    pub(crate) fn machine(&self, machine: u32) -> Machine {
        let unseen = Machine { tags: Vec::new(), value: "Normal".to_owned() };
        self.machines().remove(&machines::id(machine)).unwrap_or(unseen)
    }

    /// One request on a connection of its own, and the status and body of its answer.
    fn exchange(&self, head: &str, body: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(self.address()).expect("the sandbox listens");
        connection.set_read_timeout(Some(PATIENCE)).expect("longer than nothing");
        let length = body.len();
        let host = self.address();
        let request = format!("{head}\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        connection.write_all(request.as_bytes()).expect("the sandbox reads");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    /// Interrupts it, and reads what it counted.
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn end(self) -> Counters {
        self.program.signal(rustix::process::Signal::TERM);
        let ended = self.program.end();
        assert_eq!(ended.status, Some(0), "{}", ended.messages);
        let (_, counters) = ended.messages.split_once("it counted {").expect("the counters");
        let (counters, _) = counters.split_once('}').expect("the end of the counters");
        let counters = counters.split(',').map(|counter| {
            let (name, count) = counter.split_once(':').expect("name: count");
            (name.trim().trim_matches('"').to_owned(), count.trim().parse().expect("a count"))
        });
        Counters(counters.collect())
    }
}

impl Counters {
    /// One of the counts, by the name that the sandbox gives it.
    #[track_caller]
    pub(crate) fn of(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("there is no count of {name} in {self:?}"))
    }

    /// Calls of all kinds that were let in; tokens are none.
    pub(crate) fn calls(&self) -> u64 {
        ["list", "get", "bulk", "tags", "value"].iter().map(|kind| self.of(kind)).sum()
    }

    /// Nobody has called, or tried to, or signed in.
    #[track_caller]
    pub(crate) fn are_all_nought(&self) {
        assert!(self.0.values().all(|count| *count == 0), "{self:?}");
    }
}
