//! Quotas as the user states them.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::words::counted;

/// So many calls in any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct QuotaLimit {
    /// Calls that may arrive in one window.
    pub calls: NonZeroU32,
    /// Length of the window, wherever it begins.
    pub window: Duration,
}

impl fmt::Display for QuotaLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = counted(u64::from(self.calls.get()), "call", "calls");
        write!(formatter, "{calls} in {}", describe(self.window))
    }
}

/// A duration in words short enough for a status line: `60 s`, `1 h`, `250 ms`.
pub(crate) fn describe(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if !milliseconds.is_multiple_of(1000) {
        return format!("{milliseconds} ms");
    }
    match duration.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        seconds => format!("{seconds} s"),
    }
}

/// All limits of one bucket, shortest window first; none at all when it is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    limits: Vec<QuotaLimit>,
}

/// Which calls count together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum QuotaScope {
    /// A bucket for each API: reading machines, tags, device values.
    #[default]
    Api,
    /// One bucket for everything that the app calls.
    App,
    /// As api, and single and bulk tag calls apart, until a refusal shows that they count together.
    Auto,
}

/// The longest window that may be stated.
const MAXIMUM_WINDOW: Duration = Duration::from_hours(24);
/// The most calls that one limit may allow.
const MAXIMUM_CALLS: u32 = 1_000_000;

/// Why a text is no quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QuotaError {
    /// A part has another form than `CALLS/WINDOW`.
    #[error("\"{0}\" is not of the form CALLS/WINDOW, as in 100/1m,1500/1h")]
    Form(String),
    /// The number before the slash cannot be used.
    #[error("\"{0}\" is not a number of calls from 1 to 1000000")]
    Calls(String),
    /// The window after the slash cannot be used.
    #[error("\"{0}\" is not a window from 1ms to 24h, as in 1m or 1h")]
    Window(String),
}

impl Quota {
    /// The limits, shortest window first.
    pub(crate) fn limits(&self) -> &[QuotaLimit] {
        &self.limits
    }

    /// Whether no limit is stated.
    pub(crate) fn is_off(&self) -> bool {
        self.limits.is_empty()
    }

    /// This share of every limit, rounded down, but at least one call.
    pub(crate) fn share(&self, percent: u8) -> Self {
        let limits = self
            .limits
            .iter()
            .map(|limit| QuotaLimit {
                calls: NonZeroU32::new(
                    u32::try_from(u64::from(limit.calls.get()) * u64::from(percent) / 100).unwrap_or(u32::MAX),
                )
                .unwrap_or(NonZeroU32::MIN),
                window: limit.window,
            })
            .collect();
        Self { limits }
    }

    /// The even spacing at which no limit is ever reached; `None` when the quota is off.
    pub(crate) fn even_spacing(&self) -> Option<Duration> {
        self.limits.iter().map(|limit| limit.window / limit.calls.get()).max()
    }
}

impl FromStr for Quota {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        if text.trim().eq_ignore_ascii_case("off") {
            return Ok(Self::default());
        }
        let mut limits = text.split(',').map(|part| parse_limit(part.trim())).collect::<Result<Vec<_>, _>>()?;
        limits.sort_by_key(|limit| limit.window);
        Ok(Self { limits })
    }
}

impl Quota {
    /// As it is stated in an option: `100/1m,1500/1h`, or `off`.
    pub(crate) fn option(&self) -> String {
        if self.is_off() {
            return "off".to_owned();
        }
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
        let limit = |QuotaLimit { calls, window }: &QuotaLimit| {
            let milliseconds = window.as_millis();
            let (length, unit) =
                units.into_iter().find(|(length, _)| milliseconds.is_multiple_of(*length)).unwrap_or((1, "ms"));
            format!("{calls}/{}{unit}", milliseconds / length)
        };
        self.limits.iter().map(limit).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_off() {
            return formatter.write_str("off");
        }
        for (index, limit) in self.limits.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" and ")?;
            }
            limit.fmt(formatter)?;
        }
        Ok(())
    }
}

fn parse_limit(part: &str) -> Result<QuotaLimit, QuotaError> {
    let (calls, window) = part.split_once('/').ok_or_else(|| QuotaError::Form(part.to_owned()))?;
    let calls = calls
        .trim()
        .parse::<NonZeroU32>()
        .ok()
        .filter(|calls| calls.get() <= MAXIMUM_CALLS)
        .ok_or_else(|| QuotaError::Calls(calls.trim().to_owned()))?;
    let window = parse_duration(window.trim())
        .filter(|window| (Duration::from_millis(1)..=MAXIMUM_WINDOW).contains(window))
        .ok_or_else(|| QuotaError::Window(window.trim().to_owned()))?;
    Ok(QuotaLimit { calls, window })
}

/// Reads a duration such as `90s`, `1m`, `1h30m`, `500ms` or `90d`; `None` for anything else and for negative ones. A day
/// has 24 hours.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    // The library reads 6:00:00 as six hours, which looks too much like a time of day.
    if text.contains(':') {
        return None;
    }
    let span = text.parse::<jiff::Span>().ok()?;
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_stated_as_it_is_read() {
        for text in ["off", "100/1m,1500/1h", "7/2h", "50/5s", "1/90s", "3/250ms", "1/1ms,20/24h"] {
            assert_eq!(text.parse::<Quota>().expect("a quota").option(), text);
        }
    }

    #[test]
    fn quotas_are_read_as_stated_and_sorted_by_window() {
        let quota: Quota = "1500/1h, 100/1m".parse().expect("a quota");
        assert_eq!(quota.to_string(), "100 calls in 60 s and 1,500 calls in 1 h");
        assert_eq!(quota.even_spacing(), Some(Duration::from_millis(2400)));
        assert!("off".parse::<Quota>().is_ok_and(|quota| quota.is_off()));
        assert_eq!("50/2s,150/10s".parse::<Quota>().map(|quota| quota.limits().len()), Ok(2));
        assert_eq!("7/250ms".parse::<Quota>().map(|quota| quota.to_string()), Ok("7 calls in 250 ms".to_owned()));
    }

    #[test]
    fn what_is_no_quota_is_refused_with_the_part_that_is_wrong() {
        let table: &[(&str, QuotaError)] = &[
            ("", QuotaError::Form(String::new())),
            ("100", QuotaError::Form("100".into())),
            ("100/1m,", QuotaError::Form(String::new())),
            ("0/1m", QuotaError::Calls("0".into())),
            ("-1/1m", QuotaError::Calls("-1".into())),
            ("1000001/1m", QuotaError::Calls("1000001".into())),
            ("100/0s", QuotaError::Window("0s".into())),
            ("100/25h", QuotaError::Window("25h".into())),
            ("100/minute-ish", QuotaError::Window("minute-ish".into())),
            ("100/-1m", QuotaError::Window("-1m".into())),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Quota>().as_ref(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_share_leaves_the_rest_to_others_but_never_nothing() {
        let quota: Quota = "100/1m,3/1h".parse().expect("a quota");
        assert_eq!(quota.share(33).to_string(), "33 calls in 60 s and 1 call in 1 h");
        assert_eq!(quota.share(1).to_string(), "1 call in 60 s and 1 call in 1 h");
        assert_eq!(quota.share(100), quota);
    }

    #[test]
    fn durations_are_read_with_their_units() {
        let table =
            [("90s", 90), ("1m", 60), ("1h30m", 5400), ("2 hours", 7200), ("90d", 7_776_000), ("1d 1h", 90_000)];
        for (text, seconds) in table {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        for text in ["", "5", "m", "-5s", "soon", "6:00:00", "1mo", "1y"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
