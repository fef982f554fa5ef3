//! A person signs in: in a terminal only, in a browser or with a code.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::process::Program;
use crate::rehearsal::Folder;
use crate::sandbox_server::Sandbox;
use crate::terminal::Terminal;

fn check(folder: &Folder, sandbox: &Sandbox, options: &str) -> Command {
    let mut command = folder.command();
    command.envs(sandbox.variables().iter().cloned()).env_remove("AZURE_CLIENT_SECRET");
    command.args(["check", "--color", "never"]).args(options.split_whitespace());
    command
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let sandbox = Sandbox::start("--machines 3");
    for method in ["browser", "device-code"] {
        let folder = Folder::new();
        let ended = Program::start(check(&folder, &sandbox, &format!("--auth {method}")), None, true).end();
        let text = String::from_utf8_lossy(&ended.output).into_owned();
        assert_eq!(ended.status, Some(2), "{text}");
        assert!(text.contains("stderr is not a terminal"), "{text}");
    }
    assert_eq!(sandbox.end().of("tokens"), 0);
}

#[test]
fn a_device_code_is_shown_in_the_terminal() {
    let sandbox = Sandbox::start("--machines 3");
    let folder = Folder::new();
    let mut terminal = Terminal::start(check(&folder, &sandbox, "--auth device-code"), 200);
    terminal.waits_until_it_shows("/devicelogin on any device, and enter the code SANDBOX");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.shown());
    assert!(terminal.shown().contains("a person in app"), "{}", terminal.shown());
    assert!(!terminal.shown().contains("-device"), "the device's own code is a secret");
    assert!(folder.files_holding("-renewal").is_empty());
}

/// What a server on loopback answers to this address, as a browser asks for it.
fn answer_to(address: &str) -> String {
    let (host, target) = address.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address");
    let mut connection = TcpStream::connect(host).expect("somebody listens");
    let request = format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn a_browser_comes_back_to_the_terminal() {
    let sandbox = Sandbox::start("--machines 3");
    let folder = Folder::new();
    let mut terminal = Terminal::start(check(&folder, &sandbox, "--auth browser --no-browser"), 200);
    terminal.waits_until_it_shows("prompt=select_account");
    let shown = terminal.shown();
    let address = shown.split_whitespace().find(|word| word.contains("/authorize?")).expect("an address");
    let answer = answer_to(address);
    let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).expect("a redirect");
    let page = answer_to(location.trim());
    assert!(page.contains("You are signed in"), "{page}");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.shown());
    let code = location.split_once("code=").and_then(|(_, rest)| rest.split('&').next()).expect("a code");
    assert!(!terminal.shown().contains(code) && folder.files_holding(code).is_empty());
}
