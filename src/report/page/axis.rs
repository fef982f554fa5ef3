//! What stands along the sides of a picture: round numbers, and round times.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::span::Span;
use crate::words::group_digits;

/// Steps between times, in seconds.
const TIME_STEPS: [i64; 22] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_419_200,
];
const DAY: i64 = 86_400;
const MICROSECONDS: i64 = 1_000_000;

/// Round numbers from 0 to the greatest: at most so many steps, of 1, 2 or 5 of some power of ten.
pub(super) fn round_numbers(greatest: u64, most_steps: u64) -> Vec<u64> {
    let mut steps = (0..19).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let step = steps.find(|step| greatest / step <= most_steps).unwrap_or(u64::MAX);
    (0..=greatest / step).map(|number| number * step).collect()
}

/// A number in little room: `1,800`, `12k`, `1.5M`.
pub(super) fn short_number(number: u64) -> String {
    let with_tenths = |unit: u64, letter: char| {
        let tenths = number / (unit / 10);
        if tenths.is_multiple_of(10) {
            format!("{}{letter}", tenths / 10)
        } else {
            format!("{}.{}{letter}", tenths / 10, tenths % 10)
        }
    };
    match number {
        0..10_000 => group_digits(number),
        10_000..1_000_000 => with_tenths(1_000, 'k'),
        1_000_000..1_000_000_000 => with_tenths(1_000_000, 'M'),
        _ => with_tenths(1_000_000_000, 'G'),
    }
}

/// Round times of a span with their labels: at most so many steps.
pub(super) fn round_times(span: Span, most_steps: i64, time_zone: &TimeZone) -> Vec<(i64, String)> {
    let seconds = (span.to() - span.from()) / MICROSECONDS;
    let step = TIME_STEPS.into_iter().find(|step| seconds / step < most_steps);
    let step = step.unwrap_or_else(|| (seconds / most_steps.max(1) / DAY + 1) * DAY);
    let moment = |at: i64| Timestamp::from_microsecond(at).unwrap_or_default();
    // Round for whoever lives there.
    let offset = i64::from(time_zone.to_offset(moment(span.from())).seconds());
    let from = span.from().div_euclid(MICROSECONDS) + offset;
    let first = (from + step - 1).div_euclid(step) * step - offset;
    let form = match step {
        ..60 => "%H:%M:%S",
        60..DAY => "%H:%M",
        DAY.. => "%-d %b",
    };
    let times = (0..).map(|number| (first + number * step) * MICROSECONDS).skip_while(|at| *at < span.from());
    let label = |at: i64| moment(at).to_zoned(time_zone.clone()).strftime(form).to_string();
    times.take_while(|at| *at <= span.to()).map(|at| (at, label(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_along_an_axis_are_round_and_few() {
        for (greatest, expected) in [
            (0, vec![0]),
            (1, vec![0, 1]),
            (4, vec![0, 1, 2, 3, 4]),
            (100, vec![0, 50, 100]),
            (1500, vec![0, 500, 1000, 1500]),
            (999_999, vec![0, 200_000, 400_000, 600_000, 800_000]),
        ] {
            assert_eq!(round_numbers(greatest, 4), expected);
        }
        let shown = [0, 9_999, 10_000, 12_500, 200_000, 1_500_000, 2_000_000].map(short_number);
        assert_eq!(shown, ["0", "9,999", "10k", "12.5k", "200k", "1.5M", "2M"]);
    }

    #[test]
    fn times_along_an_axis_are_round_where_people_live() {
        let moment = |text: &str| text.parse::<Timestamp>().expect("a moment");
        let labels = |from: &str, to: &str, zone: &TimeZone| -> Vec<String> {
            round_times(Span::new(moment(from), moment(to)), 6, zone).into_iter().map(|(_, label)| label).collect()
        };
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let utc = &TimeZone::UTC;
        assert_eq!(
            labels("2026-11-26T10:00:01Z", "2026-11-26T10:00:02Z", utc),
            ["10:00:02", "10:00:04", "10:00:06", "10:00:08", "10:00:10"]
        );
        assert_eq!(labels("2026-11-26T10:07:00Z", "2026-11-26T12:20:00Z", utc), ["10:30", "11:00", "11:30", "12:00"]);
        assert_eq!(
            labels("2026-11-26T22:30:00Z", "2026-11-28T22:30:00Z", &berlin),
            ["00:00", "12:00", "00:00", "12:00"]
        );
        assert_eq!(
            labels("2026-11-20T10:00:00Z", "2026-11-25T10:00:00Z", &berlin),
            ["21 Nov", "22 Nov", "23 Nov", "24 Nov", "25 Nov"]
        );
        assert!(labels("2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", utc).len() <= 7);
    }
}
