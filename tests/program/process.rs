//! The program as a child process that is read while it runs and never outlives its test.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before its test fails. Nothing takes nearly that long on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// What waits for nothing has ended by then, however busy the machine is; a call that waits for its answer has not, for its
/// time-out is 30 s.
pub(crate) const SOON: Duration = Duration::from_secs(28);

/// What a stream has brought so far.
#[derive(Clone, Default)]
struct Stream(Arc<(Mutex<Received>, Condvar)>);

#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    closed: bool,
}

impl Stream {
    fn of(mut source: impl Read + Send + 'static) -> Self {
        let stream = Self::default();
        let filled = stream.clone();
        thread::spawn(move || {
            let mut block = [0; 4096];
            loop {
                let count = source.read(&mut block).unwrap_or(0);
                let (received, changed) = &*filled.0;
                let mut received = received.lock().expect("no reader panics");
                received.bytes.extend_from_slice(&block[..count]);
                received.closed = count == 0;
                changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        stream
    }

    /// A stream that nobody reads.
    fn closed() -> Self {
        let stream = Self::default();
        stream.0.0.lock().expect("no reader panics").closed = true;
        stream
    }

    /// Waits until what was received suits, or nothing more can come; `None` when it takes too long.
    fn wait_until(&self, suits: impl Fn(&Received) -> bool) -> Option<Vec<u8>> {
        let (received, changed) = &*self.0;
        let guard = received.lock().expect("no reader panics");
        let (guard, waited) = changed
            .wait_timeout_while(guard, PATIENCE, |received| !received.closed && !suits(received))
            .expect("no reader panics");
        (!waited.timed_out()).then(|| guard.bytes.clone())
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().expect("no reader panics").bytes).into_owned()
    }
}

/// A child process of this test; dropping it ends it.
pub(crate) struct Program {
    child: Child,
    output: Stream,
    messages: Stream,
}

/// What a program that has ended left.
pub(crate) struct Ended {
    /// The exit status; `None` when a signal ended it.
    pub(crate) status: Option<i32>,
    /// Standard output.
    pub(crate) output: Vec<u8>,
    /// Standard error.
    pub(crate) messages: String,
}

impl Ended {
    /// The object that it wrote to standard output.
    #[track_caller]
    pub(crate) fn object(&self) -> serde_json::Value {
        serde_json::from_slice(&self.output).unwrap_or_else(|error| panic!("{error}: {}", self.messages))
    }
}

impl Program {
    /// The command for the program under test, with nothing of this process's environment.
    pub(crate) fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tagfleet"));
        command.env_clear();
        // Windows programs do not start without it.
        command.envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
        command
    }

    /// Starts it; `input` is what it reads from standard input, and then the end.
    pub(crate) fn start(mut command: Command, input: Option<Vec<u8>>, reads_output: bool) -> Self {
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            // A program that refuses to go on leaves the rest unread.
            thread::spawn(move || pipe.write_all(&input));
        }
        let output = child.stdout.take().expect("a pipe");
        let output = if reads_output { Stream::of(output) } else { Stream::closed() };
        let messages = Stream::of(child.stderr.take().expect("a pipe"));
        Self { child, output, messages }
    }

    /// Waits until standard error holds this text.
    #[track_caller]
    pub(crate) fn waits_until_it_says(&self, text: &str) {
        let heard = self.messages.wait_until(|received| contains(&received.bytes, text.as_bytes()));
        let heard = heard.is_some_and(|bytes| contains(&bytes, text.as_bytes()));
        assert!(heard, "the program never said {text:?}, but: {}", self.messages.so_far());
    }

    /// Waits for the first `count` lines of standard output.
    #[track_caller]
    pub(crate) fn first_lines(&self, count: usize) -> Vec<String> {
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let bytes = self.output.wait_until(|received| lines(&received.bytes) >= count).unwrap_or_default();
        assert!(lines(&bytes) >= count, "the program wrote too little: {}", self.messages.so_far());
        String::from_utf8_lossy(&bytes).lines().take(count).map(str::to_owned).collect()
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).expect("the process still runs");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let since = Instant::now();
        let over = |_: &Received| false;
        let (Some(output), Some(messages)) = (self.output.wait_until(over), self.messages.wait_until(over)) else {
            panic!("the program has not ended after {:?}, and said: {}", since.elapsed(), self.messages.so_far());
        };
        let status = self.child.wait().expect("our own child").code();
        Ended { status, output, messages: String::from_utf8_lossy(&messages).into_owned() }
    }
}

#[cfg(target_os = "linux")]
impl Program {
    /// Interrupts it every second, as somebody does who insists, and waits for its end.
    #[track_caller]
    pub(crate) fn end_interrupted(mut self) -> Ended {
        let since = Instant::now();
        while self.child.try_wait().expect("our own child").is_none() {
            assert!(since.elapsed() < PATIENCE, "it does not end, and said: {}", self.messages.so_far());
            self.signal(rustix::process::Signal::INT);
            thread::sleep(Duration::from_secs(1));
        }
        self.end()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when it has ended, which is just as well.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Looks until this is so. Not without a pause: what is waited for needs the machine, too.
#[track_caller]
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "what is waited for has not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Looks at all cases at once, for most of their time is spent waiting.
pub(crate) fn at_once<Case: Send>(cases: impl IntoIterator<Item = Case>, look: impl Fn(Case) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| look(case));
        }
    });
}

/// Whether bytes hold others.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
