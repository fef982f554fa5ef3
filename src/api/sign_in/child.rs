//! Starting another program for what it prints, with bounds.
//!
//! It gets no standard input of ours, which may be the input file, none of our descriptors and only those of our
//! variables that it needs; it has so long, and may print so much. It is the first of a group of processes of its own,
//! which ends with it: the Azure CLI is a shell that starts a shell that starts Python, and to end only the first would
//! leave the others at work.

use std::ffi::{OsStr, OsString};
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// How long its streams may stay open after its end: somebody whom it started may hold them, and has nothing to say.
const AFTER_ITS_END: Duration = Duration::from_secs(1);
/// The most that is read of each of its streams.
const OUTPUT_MAXIMUM_BYTES: usize = 256 * 1024;

/// The variables that a program gets, besides those that begin with one of [`PASSED_ON_PREFIXES`]: where programs, homes
/// and temporary files are, language and time, the way to the network and whom to trust there, the settings of the Azure
/// CLI, and what a platform tells it about its identity. On Windows their case means nothing.
const PASSED_ON: [&str; 49] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AZURE_CONFIG_DIR",
    "AZURE_EXTENSION_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IMDS_ENDPOINT",
    "ACC_CLOUD",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "PROGRAMW6432",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
];
const PASSED_ON_PREFIXES: [&str; 2] = ["LC_", "AZURE_CORE_"];

/// What became of a program.
#[derive(Debug)]
pub(super) enum Ended {
    /// It ended by itself.
    ByItself(Output),
    /// It was ended, since it took longer than it had.
    TooLate,
    /// It was ended, since it printed more than is read.
    TooMuch,
}

/// Runs a program until it ends, or until it has to be ended. Dropping the future ends it as well.
pub(super) async fn run(program: &OsStr, args: &[&OsStr], time_limit: Duration) -> io::Result<Ended> {
    let child = command(program, args, std::env::vars_os()).spawn()?;
    let mut group = Group(child);
    match tokio::time::timeout(time_limit, group.output()).await {
        Err(_late) => Ok(Ended::TooLate),
        Ok(Ok(None)) => Ok(Ended::TooMuch),
        Ok(Ok(Some(output))) => Ok(Ended::ByItself(output)),
        Ok(Err(error)) => Err(error),
    }
}

/// The variables by which a program of the desktop finds it, besides [`PASSED_ON`].
const OF_THE_DESKTOP: [&str; 8] = [
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "BROWSER",
    "XDG_CURRENT_DESKTOP",
    "XDG_DATA_DIRS",
    "XDG_SESSION_TYPE",
    "DESKTOP_SESSION",
];

/// Starts a program of the desktop, such as a browser, and leaves it to itself: it goes on when we end.
pub(super) fn start(program: &OsStr, args: &[&OsStr]) -> io::Result<()> {
    let desktop = OF_THE_DESKTOP.into_iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
    let mut command = command(program, args, std::env::vars_os());
    command.envs(desktop).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(false);
    command.spawn().map(drop)
}

fn command(program: &OsStr, args: &[&OsStr], variables: impl Iterator<Item = (OsString, OsString)>) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env_clear().envs(variables.filter(|(name, _)| is_passed_on(name)));
    #[cfg(unix)]
    command.process_group(0);
    command
}

fn is_passed_on(name: &OsStr) -> bool {
    // The names of proxies are often in lower case.
    let Some(name) = name.to_str().map(str::to_ascii_uppercase) else { return false };
    PASSED_ON.contains(&name.as_str()) || PASSED_ON_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A program and whatever it has started. Dropping it ends them all.
struct Group(Child);

impl Group {
    /// What it prints, and how it ends; `None` when it prints too much.
    async fn output(&mut self) -> io::Result<Option<Output>> {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let (mut output, mut messages) = (Vec::new(), Vec::new());
        let status = {
            let mut reading = pin!(async { tokio::try_join!(read(stdout, &mut output), read(stderr, &mut messages)) });
            let ended = tokio::select! {
                read = &mut reading => { read?; None }
                ended = self.0.wait() => Some(ended?),
            };
            match ended {
                Some(status) => {
                    if let Ok(read) = tokio::time::timeout(AFTER_ITS_END, reading).await {
                        read?;
                    }
                    Some(status)
                }
                None => None,
            }
        };
        if output.len().max(messages.len()) > OUTPUT_MAXIMUM_BYTES {
            return Ok(None);
        }
        let status: ExitStatus = match status {
            Some(status) => status,
            None => self.0.wait().await?,
        };
        Ok(Some(Output { status, stdout: output, stderr: messages }))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once the first of the group has been waited for, its number may be somebody else's.
        #[cfg(unix)]
        if let Some(id) = self.0.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            // All of them may have gone, which is just as well.
            let _gone = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

/// Reads what a stream brings, and one byte more than is read at the most.
async fn read(stream: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> io::Result<()> {
    if let Some(stream) = stream {
        stream.take(OUTPUT_MAXIMUM_BYTES as u64 + 1).read_to_end(bytes).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_the_variables_that_it_needs_and_none_of_our_secrets() {
        for name in ["PATH", "Path", "HOME", "https_proxy", "AZURE_CONFIG_DIR", "AZURE_CORE_OUTPUT", "LC_ALL"] {
            assert!(is_passed_on(OsStr::new(name)), "{name}");
        }
        for name in [
            "AZURE_CLIENT_SECRET",
            "AZURE_CLIENT_ID",
            "AZURE_FEDERATED_TOKEN_FILE",
            "TAGFLEET_TOKEN",
            "LD_PRELOAD",
            "PYTHONSTARTUP",
            "GITHUB_TOKEN",
            "",
        ] {
            assert!(!is_passed_on(OsStr::new(name)), "{name}");
        }
        let pair = |name: &str| (OsString::from(name), OsString::from("x"));
        let command = command(OsStr::new("az"), &[], [pair("HOME"), pair("TAGFLEET_TOKEN")].into_iter());
        assert_eq!(command.as_std().get_envs().map(|(name, _)| name).collect::<Vec<_>>(), ["HOME"]);
    }

    #[cfg(unix)]
    mod on_unix {
        use std::path::Path;
        use std::time::Instant;

        use super::*;

        const PATIENCE: Duration = Duration::from_secs(30);

        async fn shell(script: &str, time_limit: Duration) -> Ended {
            run(OsStr::new("/bin/sh"), &[OsStr::new("-c"), OsStr::new(script)], time_limit).await.expect("it runs")
        }

        #[tokio::test]
        async fn what_it_prints_is_all_there_up_to_the_bound() {
            let Ended::ByItself(output) = shell("cat; echo done; echo why >&2; exit 3", PATIENCE).await else {
                panic!("it ends by itself")
            };
            assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"done\n"[..], &b"why\n"[..]));
            assert_eq!(output.status.code(), Some(3));
            for flood in ["yes", "yes >&2"] {
                assert!(matches!(shell(flood, PATIENCE).await, Ended::TooMuch), "{flood}");
            }
        }

        /// Waits until the process with the number in this file has gone.
        async fn waits_for_the_end_of(file: &Path) {
            let since = Instant::now();
            loop {
                let id = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
                let id = id.and_then(rustix::process::Pid::from_raw);
                if id.is_some_and(|id| rustix::process::test_kill_process(id).is_err()) {
                    return;
                }
                assert!(since.elapsed() < PATIENCE, "it is still there");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }

        #[tokio::test]
        async fn what_it_has_started_ends_with_it() {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("id");
            let script = format!("sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; wait", file.display());
            let task = tokio::spawn(async move { shell(&script, PATIENCE).await });
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            task.abort();
            waits_for_the_end_of(&file).await;
        }

        #[tokio::test]
        async fn its_end_is_the_end_of_what_it_prints_whoever_holds_its_streams() {
            let ended = shell("sleep 1000 & echo done; exit 3", PATIENCE).await;
            let Ended::ByItself(output) = ended else { panic!("it ends by itself: {ended:?}") };
            assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"done\n"[..], Some(3)));
        }

        #[tokio::test]
        async fn it_has_so_long() {
            assert!(matches!(shell("sleep 1000", Duration::from_millis(50)).await, Ended::TooLate));
        }
    }
}
