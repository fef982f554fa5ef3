//! The command line, and what its values mean.

use std::ffi::OsString;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Choices;
use crate::api::parse_base_url;
use crate::cli::{Cli, DeadlineArgument, DurationArgument};
use crate::config::deadline;
use crate::dispatch::MaximumErrors;
use crate::model::{MachineId, Tag};
use crate::quota::Quota;

const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"];

/// Reads a command line, one argument a line, and each of them as every kind of value.
pub(super) fn arguments(data: &[u8]) {
    let mut choices = Choices(data);
    let moment = choices.number(4);
    let zone = choices.of(ZONES);
    let lines: Vec<OsString> = choices.0.split(|byte| *byte == b'\n').map(os_string).collect();
    let program = std::iter::once(OsString::from("tagfleet"));
    match Cli::read_from(program.chain(lines.iter().cloned())) {
        Ok(cli) => drop(format!("{cli:?}")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for value in lines.iter().take(8).filter_map(|line| line.to_str()) {
        as_each_kind(value);
        as_deadline(value, moment, zone);
    }
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn as_each_kind(value: &str) {
    drop((value.parse::<DurationArgument>(), value.parse::<MaximumErrors>()));
    if let Ok(quota) = value.parse::<Quota>() {
        assert!(quota.share(1).limits().len() == quota.limits().len());
        drop((quota.to_string(), quota.even_spacing()));
    }
    if let Ok(tag) = Tag::addable(value) {
        assert!((1..=200).contains(&tag.as_str().chars().count()));
        assert!(!tag.as_str().contains(|it: char| it.is_control() && !matches!(it, '\n' | '\r')));
    }
    let machine = MachineId::from_service(value);
    assert_eq!(MachineId::from_service(&machine.to_string()), machine, "an id is what it is written as");
    drop((parse_base_url(value, true), parse_base_url(value, false)));
}

fn as_deadline(value: &str, seconds: u64, zone: &str) {
    let Ok(argument) = value.parse::<DeadlineArgument>() else { return };
    let Ok(seconds) = i64::try_from(seconds) else { return };
    let moment = Timestamp::from_second(seconds).expect("four bytes end in this millennium or soon after");
    let now = moment.to_zoned(TimeZone::get(zone).unwrap_or(TimeZone::UTC));
    if let Ok(deadline) = deadline(argument, &now) {
        let left = SignedDuration::try_from(deadline.left).expect("within the calendar");
        assert_eq!(now.timestamp() + left, deadline.moment.timestamp());
        assert!(!deadline.text().is_empty());
    }
}
