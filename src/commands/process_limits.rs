//! What the system lets this process have, looked at before the first call: what runs out in the middle of a run looks like
//! an outage, or ends the process.
//!
//! A limit that may be raised is raised; one that may not is an error that says what is missing.

use crate::exit::{CommandError, ExitStatus};

/// Files that are open beside the calls: the standard streams, the runtime's own, the database with its side files and
/// locks, input, results and log, and the pipes of a program for the sign-in.
const FILES_BESIDE_CALLS: u64 = 48;
/// The standard streams, and what the runtime opens for signals and events.
const FILES_TO_BEGIN: u64 = 12;
/// A connection, and the question to a name server before it.
const FILES_PER_CALL: u64 = 2;
/// The least address space that a command gets by with, in bytes: code, threads and their heaps. A large tenant takes more.
const ADDRESS_SPACE_MINIMUM_BYTES: u64 = 340 * MEBIBYTE;
const MEBIBYTE: u64 = 1 << 20;

/// The least length that a file may have, in bytes: the state database of a small run with its journal, which is brought into
/// it every few megabytes.
const FILE_SIZE_MINIMUM_BYTES: u64 = 32 * 1024 * 1024;

/// Has memory be reserved in small parts where a limit on the address space or the data (`ulimit -v`, `-d`) leaves little more
/// than allocators reserve at once, ours a gigabyte and that of C libraries 128 MiB for each thread: nothing would be left for
/// the threads. They read that before anything else happens, so the program begins anew, in the same process.
pub fn spare_address_space() {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        const OUR_PARTS: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "16MiB");
        const PARTS_OF_C: (&str, &str) = ("MALLOC_ARENA_MAX", "1");
        const PLENTY_BYTES: u64 = 8 << 30;
        let limits = [rustix::process::Resource::As, rustix::process::Resource::Data];
        let allows_plenty = |limit| rustix::process::getrlimit(limit).current.is_none_or(|bytes| bytes >= PLENTY_BYTES);
        if limits.into_iter().all(allows_plenty) || std::env::var_os(OUR_PARTS.0).is_some() {
            return;
        }
        let mut words = std::env::args_os();
        if let (Ok(program), Some(name)) = (std::env::current_exe(), words.next()) {
            let mut anew = std::process::Command::new(program);
            // Where it cannot begin anew, it goes on as it is.
            let _refused = anew.arg0(name).args(words).envs([OUR_PARTS, PARTS_OF_C]).exec();
        }
    }
}

/// Makes sure that a command can begin at all: the runtime panics where it may open no pipe, and whatever needs memory that is
/// not to be had ends the process.
pub(super) fn allow_to_begin() -> Result<(), CommandError> {
    allow_memory()?;
    raise(Limited::Files, FILES_TO_BEGIN).map_err(|allowed| {
        shortage(
            format!("this process may have {allowed} files open, and needs {FILES_TO_BEGIN} to begin"),
            &format!("raise the limit (ulimit -n {FILES_BESIDE_CALLS})"),
        )
    })
}

fn shortage(problem: String, hint: &str) -> CommandError {
    CommandError::text(ExitStatus::Usage, problem, Some(hint))
}

/// Makes sure that so many calls at a time can be made.
pub(super) fn allow(concurrency: u16) -> Result<(), CommandError> {
    let files = FILES_BESIDE_CALLS + FILES_PER_CALL * u64::from(concurrency);
    if let Err(allowed) = raise(Limited::Files, files) {
        return Err(shortage(
            format!("this process may have {allowed} files open, and needs {files} for {concurrency} calls at a time"),
            &format!("raise the limit (ulimit -n {files}), or make fewer calls at a time (--concurrency)"),
        ));
    }
    if let Err(allowed) = raise(Limited::FileSize, FILE_SIZE_MINIMUM_BYTES) {
        let (allowed, needed) = (allowed / 1024, FILE_SIZE_MINIMUM_BYTES / MEBIBYTE);
        return Err(shortage(
            format!("this process may write files of {allowed} KiB, and needs at least {needed} MiB for its state"),
            "raise the limit (ulimit -f unlimited); a large run needs as much as its input and more",
        ));
    }
    Ok(())
}

fn allow_memory() -> Result<(), CommandError> {
    // Of what the second one counts, all that is reserved is a part, as well.
    for (limited, option) in [(Limited::AddressSpace, "-v"), (Limited::Data, "-d")] {
        raise(limited, ADDRESS_SPACE_MINIMUM_BYTES).map_err(|allowed| {
            let (allowed, needed) = (allowed / MEBIBYTE, ADDRESS_SPACE_MINIMUM_BYTES / MEBIBYTE);
            shortage(
                format!("this process may use {allowed} MiB of memory, and needs at least {needed} MiB"),
                &format!("raise the limit (ulimit {option} unlimited); a large tenant needs 512 MiB and more"),
            )
        })?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Limited {
    Files,
    FileSize,
    AddressSpace,
    Data,
}

/// Raises a limit to what is needed, if it is lower; says what is allowed if that cannot be.
#[cfg(unix)]
fn raise(limited: Limited, needed: u64) -> Result<(), u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let resource = match limited {
        Limited::Files => Resource::Nofile,
        Limited::FileSize => Resource::Fsize,
        Limited::AddressSpace => Resource::As,
        Limited::Data => Resource::Data,
    };
    let Rlimit { current, maximum } = getrlimit(resource);
    match current {
        Some(allowed) if allowed < needed => {
            let raised = Rlimit { current: Some(needed), maximum };
            let is_within = maximum.is_none_or(|maximum| needed <= maximum);
            if is_within && setrlimit(resource, raised).is_ok() { Ok(()) } else { Err(allowed) }
        }
        _ => Ok(()),
    }
}

/// There are no such limits.
#[cfg(not(unix))]
fn raise(_limited: Limited, _needed: u64) -> Result<(), u64> {
    Ok(())
}
