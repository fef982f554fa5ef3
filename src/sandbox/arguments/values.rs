//! Readers of single values: durations, quotas, faults, and the file of machines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sandbox::faults::Fault;
use crate::sandbox::settings::{MAXIMUM_MACHINES, SandboxMachine, SandboxQuota};

/// The longest line of a machines file, in bytes.
const MAXIMUM_LINE_BYTES: u64 = 4096;

/// Quotas as they were typed. (A bare list would be taken for an option that may be repeated.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas(pub Vec<SandboxQuota>);

/// A span of time: a whole number and one of ms, s, m, h, d.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit_at).unwrap_or((text, ""));
    let milliseconds_each = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("'{text}' is not a duration such as 250ms, 30s, 5m, 1h or 2d")),
    };
    let number: u64 = number.parse().map_err(|_| format!("'{text}' does not begin with a whole number"))?;
    let milliseconds = number.checked_mul(milliseconds_each);
    milliseconds.map(Duration::from_millis).ok_or_else(|| format!("'{text}' is too long"))
}

/// One duration, or two with `..` between them.
pub(super) fn duration_range(text: &str) -> Result<RangeInclusive<Duration>, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (duration(least)?, duration(most)?);
    if least > most {
        return Err(format!("'{text}' begins above its end"));
    }
    Ok(least..=most)
}

/// `100/1m,1500/1h`, or `off`.
pub(super) fn quotas(text: &str) -> Result<Quotas, String> {
    if text == "off" {
        return Ok(Quotas(Vec::new()));
    }
    text.split(',').map(|quota| self::quota(quota.trim())).collect::<Result<_, _>>().map(Quotas)
}

fn quota(text: &str) -> Result<SandboxQuota, String> {
    let wrong = || format!("'{text}' is not a quota such as 100/1m; several are separated by commas, \"off\" is none");
    let (calls, window) = text.split_once('/').ok_or_else(wrong)?;
    let quota = SandboxQuota { calls: calls.parse().map_err(|_| wrong())?, window: duration(window)? };
    if quota.calls == 0 || quota.window.is_zero() { Err(wrong()) } else { Ok(quota) }
}

/// `KIND=PROBABILITY`; the probability from 0 to 1, or in per cent.
pub(super) fn fault(text: &str) -> Result<(Fault, f64), String> {
    let (name, probability) = text.split_once('=').ok_or_else(|| format!("'{text}' is not KIND=PROBABILITY"))?;
    let fault = Fault::parse(name).ok_or_else(|| {
        let names = Fault::ALL.map(Fault::name).join(", ");
        format!("'{name}' is not a kind of fault; there are {names}")
    })?;
    let number = match probability.strip_suffix('%') {
        Some(percent) => percent.parse().map(|percent: f64| percent / 100.0),
        None => probability.parse(),
    };
    match number {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok((fault, number)),
        _ => Err(format!("'{probability}' is not a probability from 0 to 1, or from 0% to 100%")),
    }
}

/// A share in per cent, with or without its sign.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err(format!("'{text}' is not a share from 0 to 100 per cent")),
    }
}

/// Why a machines file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MachinesFileError {
    /// It cannot be opened or read.
    #[error("cannot read the machines file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own reason.
        #[source]
        source: io::Error,
    },
    /// A line of it is not as it should be.
    #[error("the machines file {}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Reads a machines file: one `id,name` a line, a header `id,name` allowed, blank lines skipped.
pub(super) fn machines_file(path: &Path) -> Result<Vec<SandboxMachine>, MachinesFileError> {
    let read = |source| MachinesFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    machines(BufReader::new(file)).map_err(|error| match error {
        Problem::Read(source) => read(source),
        Problem::Line(line, problem) => MachinesFileError::Line { path: path.to_owned(), line, problem },
    })
}

#[derive(Debug)]
pub(super) enum Problem {
    Read(io::Error),
    Line(usize, &'static str),
}

pub(super) fn machines(mut input: impl BufRead) -> Result<Vec<SandboxMachine>, Problem> {
    let mut machines = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let limit = MAXIMUM_LINE_BYTES + 1;
        let length = io::Read::take(&mut input, limit).read_until(b'\n', &mut bytes).map_err(Problem::Read)?;
        if length == 0 {
            break;
        }
        if u64::try_from(length).is_ok_and(|length| length == limit) {
            return Err(Problem::Line(line, "the line is longer than 4096 bytes"));
        }
        let text = str::from_utf8(&bytes).map_err(|_| Problem::Line(line, "the line is not UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let (id, name) = text.split_once(',').unwrap_or((text, ""));
        let (id, name) = (id.trim(), name.trim());
        let is_header = line == 1 && id.eq_ignore_ascii_case("id");
        if text.is_empty() || is_header {
            continue;
        }
        if id.is_empty() {
            return Err(Problem::Line(line, "the line has a name and no id"));
        }
        if name.contains(',') || text.contains('"') {
            return Err(Problem::Line(line, "the line must be \"id,name\" without further columns or quotes"));
        }
        if machines.len() >= MAXIMUM_MACHINES {
            return Err(Problem::Line(line, "the sandbox holds at most 2000000 machines"));
        }
        let computer_dns_name = (!name.is_empty()).then(|| name.to_owned());
        machines.push(SandboxMachine { computer_dns_name, ..SandboxMachine::new(id) });
    }
    Ok(machines)
}
