//! The program in a terminal of its own, as people have it, which can be typed into and taken away.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Pty, open};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::PATIENCE;

/// How often to look whether something has come.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A program of which the three streams are a terminal, whose session it leads.
pub(crate) struct Terminal {
    child: Child,
    /// `None` once it was taken away.
    window: Option<Pty>,
    shown: Vec<u8>,
}

impl Terminal {
    /// Starts it in a terminal of this many columns.
    #[track_caller]
    pub(crate) fn start(mut command: Command, columns: u16) -> Self {
        let (terminal, end_of_child) = open().expect("a terminal");
        terminal.resize(Size::new(50, columns)).expect("our own terminal");
        fcntl_setfl(&terminal, OFlags::RDWR | OFlags::NONBLOCK).expect("our own terminal");
        command.env("TERM", "xterm-256color");
        let child = pty_process::blocking::Command::from(command).spawn(end_of_child).expect("the program starts");
        Self { child, window: Some(terminal), shown: Vec::new() }
    }

    /// Waits until the terminal has shown this text.
    #[track_caller]
    pub(crate) fn waits_until_it_shows(&mut self, text: &str) {
        let since = Instant::now();
        while !self.shown().contains(text) {
            assert!(since.elapsed() < PATIENCE, "the terminal never showed {text:?}, but: {}", self.shown());
            self.read();
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// What the terminal has shown so far, control sequences included.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Types this; Ctrl-C is `\u{3}`, Ctrl-D `\u{4}`.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.window.as_mut().expect("it is still there").write_all(text.as_bytes()).expect("our own terminal");
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process still runs");
    }

    /// The window is closed, or the connection lost.
    pub(crate) fn goes_away(&mut self) {
        self.window = None;
    }

    /// Waits for the program's end and gives its exit status; `None` when a signal ended it.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            self.read();
            if let Some(status) = self.child.try_wait().expect("our own child") {
                // What was written last may still be on its way, until the terminal says that nobody writes any more.
                let ended = Instant::now();
                while !self.read() && ended.elapsed() < Duration::from_secs(2) {
                    thread::sleep(LOOK_AGAIN);
                }
                return status.code();
            }
            assert!(since.elapsed() < PATIENCE, "the program has not ended, and showed: {}", self.shown());
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Takes what the terminal shows; says whether nothing more will come.
    fn read(&mut self) -> bool {
        let Some(terminal) = &mut self.window else { return true };
        let mut block = [0; 4096];
        loop {
            match terminal.read(&mut block) {
                Ok(count @ 1..) => self.shown.extend_from_slice(&block[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                _ => return true,
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail when it has ended, which is just as well.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
