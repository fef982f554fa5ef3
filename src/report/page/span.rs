//! The time that a run took, in equal pieces: what a picture can show.

use jiff::Timestamp;

/// Pieces of a span: about as many as a picture has room for.
pub(super) const BINS: usize = 320;
/// A picture of less would have no times to tell apart.
const SHORTEST_MICROSECONDS: i64 = 10_000_000;

/// From a moment to another, by the clock of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    from: i64,
    to: i64,
}

impl Span {
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        let (from, to) = (from.as_microsecond(), to.as_microsecond());
        Self { from, to: to.max(from.saturating_add(SHORTEST_MICROSECONDS)) }
    }

    /// Its beginning, in microseconds since 1970.
    pub(super) const fn from(self) -> i64 {
        self.from
    }

    /// Its end, in microseconds since 1970.
    pub(super) const fn to(self) -> i64 {
        self.to
    }

    const fn length(self) -> i64 {
        self.to - self.from
    }

    /// The piece that this moment lies in, or the nearest one.
    pub(super) fn bin(self, at: i64) -> usize {
        let part = i128::from(at.clamp(self.from, self.to) - self.from) * BINS as i128 / i128::from(self.length());
        usize::try_from(part).unwrap_or(0).min(BINS - 1)
    }

    /// When a piece begins; that of the one after the last is the end.
    pub(super) fn start(self, bin: usize) -> i64 {
        let part = i128::from(self.length()) * bin as i128;
        // A moment of a piece is never before its beginning.
        let rounded_up = (part + BINS as i128 - 1) / BINS as i128;
        self.from + i64::try_from(rounded_up).unwrap_or(0)
    }

    /// The length of a piece.
    pub(super) const fn bin_length(self) -> i64 {
        // There are few pieces.
        #[expect(clippy::cast_possible_wrap, reason = "a small number")]
        let bins = BINS as i64;
        self.length() / bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_lies_in_the_piece_that_began_last() {
        let moment = |seconds: i64| Timestamp::from_second(seconds).expect("a moment");
        for length in [0, 7, 11, 3_601, 90_000] {
            let span = Span::new(moment(1000), moment(1000 + length));
            for bin in 0..BINS {
                assert_eq!(span.bin(span.start(bin)), bin, "{length}");
                assert_eq!(span.bin(span.start(bin + 1) - 1), bin, "{length}");
            }
            assert_eq!((span.bin(0), span.bin(i64::MAX)), (0, BINS - 1));
        }
    }
}
