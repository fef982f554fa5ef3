//! Values as typed: durations, deadlines, limits on errors.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::civil::Time;

use crate::dispatch::MaximumErrors;
use crate::input::Doubt;
use crate::model::DeviceValue;
use crate::outside::line_unescaped;
use crate::plan::guard::Bound;
use crate::quota::parse_duration;

/// A duration as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurationArgument(pub Duration);

impl FromStr for DurationArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = parse_duration(text);
        duration.map(Self).ok_or_else(|| format!("\"{text}\" is not a duration such as 90s, 30m or 2h"))
    }
}

/// Who signs in to a state on a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateAuth {
    /// The user of the address, with a password
    #[default]
    Password,
    /// A token of Entra, by the first of the following that the environment allows
    Entra,
    /// A token for a client secret
    Secret,
    /// A token for a certificate with its private key
    Certificate,
    /// A token for a federated token from the platform, as in Kubernetes
    Workload,
    /// A token of the identity that Azure gives to this machine
    ManagedIdentity,
    /// A token of the account that is signed in to the Azure CLI
    AzureCli,
}

/// A deadline as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadlineArgument {
    /// So long after the start of the process.
    After(Duration),
    /// The next time that local clocks show this.
    At(Time),
    /// When they show this on the next day of the calendar.
    Tomorrow(Time),
}

/// A duration for an option.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("\"{text}\" is not a duration such as 90s, 10m, 8h or 90d"))
}

/// A device value, in any case.
pub(super) fn device_value(text: &str) -> Result<DeviceValue, String> {
    DeviceValue::parse(text.trim()).ok_or_else(|| format!("\"{text}\" is not Low, Normal or High"))
}

/// A file that the textfile collector of the node exporter reads.
pub(super) fn prom_file(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let is_read = path.extension().is_some_and(|extension| extension == "prom");
    is_read
        .then(|| path.to_owned())
        .ok_or_else(|| format!("\"{text}\" does not end in .prom, and the node exporter reads only files that do"))
}

/// A tag: exactly, or as lists of tags show it.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser")]
pub(super) fn typed_tag(text: &str) -> Result<String, Infallible> {
    Ok(line_unescaped(text))
}

/// A character that can stand between the tags of one cell.
pub(super) fn tag_separator(text: &str) -> Result<char, String> {
    let named = match text {
        "\\n" => Some('\n'),
        "\\t" => Some('\t'),
        _ => None,
    };
    let mut characters = text.chars();
    let only = characters.next().filter(|_| characters.next().is_none());
    let is_possible = |it: &char| !it.is_alphanumeric() && !matches!(it, '"' | ' ');
    named
        .or(only)
        .filter(is_possible)
        .ok_or_else(|| format!("\"{text}\" is not one character that can stand between tags, such as ; or | or \\n"))
}

/// A time such as 06:00.
fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(hour) || !is_number(minute) || minute.len() != 2 {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

impl FromStr for DeadlineArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(duration) = parse_duration(text) {
            return Ok(Self::After(duration));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let deadline = match words.as_slice() {
            [time] => time_of_day(time).map(Self::At),
            [day, time] if day.eq_ignore_ascii_case("tomorrow") => time_of_day(time).map(Self::Tomorrow),
            _ => None,
        };
        deadline.ok_or_else(|| {
            format!(
                "\"{text}\" is neither a duration such as 90m or 8h nor a time of day such as 06:00 or tomorrow 06:00"
            )
        })
    }
}

impl FromStr for MaximumErrors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().filter(|percent| *percent <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| format!("\"{text}\" is neither a number such as 20 nor a share such as 5%"))
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(',').and_then(|(percent, count)| {
            let percent = percent.trim().strip_suffix('%')?.trim().parse().ok().filter(|percent| *percent <= 100)?;
            Some(Self::Share { percent, count: count.trim().parse().ok()? })
        });
        parsed.ok_or_else(|| format!("\"{text}\" is not a share and a number such as 10%,10"))
    }
}

/// What can be doubtful about a tag that stands in no file.
pub(super) fn odd_tags() -> impl TypedValueParser<Value = Doubt> {
    PossibleValuesParser::new([Doubt::OddTags.name()]).map(|_name| Doubt::OddTags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_error_limits_and_bounds_are_read() {
        let hours = Duration::from_hours;
        assert_eq!("8h".parse(), Ok(DeadlineArgument::After(hours(8))));
        assert_eq!("06:00".parse(), Ok(DeadlineArgument::At(jiff::civil::time(6, 0, 0, 0))));
        assert_eq!("Tomorrow  6:00".parse(), Ok(DeadlineArgument::Tomorrow(jiff::civil::time(6, 0, 0, 0))));
        for text in
            ["", "6", "25:00", "24:00", "06:60", "6:0", "-1h", "6:00:00", "tomorrow", "tomorrow 8h", "today 6:00"]
        {
            assert!(text.parse::<DeadlineArgument>().is_err(), "{text}");
        }
        assert_eq!("20".parse(), Ok(MaximumErrors::Count(20)));
        assert_eq!("5%".parse(), Ok(MaximumErrors::Percent(5)));
        for text in ["", "-1", "101%", "%", "five"] {
            assert!(text.parse::<MaximumErrors>().is_err(), "{text}");
        }
        assert_eq!("10%,10".parse(), Ok(Bound::Share { percent: 10, count: 10 }));
        assert_eq!(" 0 % , 0".parse(), Ok(Bound::Share { percent: 0, count: 0 }));
        for text in ["", "10", "10%", "10,10", "10,10%", "101%,1", "10%,-1", "10%,1,1", "1.5%,3"] {
            assert!(text.parse::<Bound>().is_err(), "{text}");
        }
    }
}
