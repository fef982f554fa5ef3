//! What stands between cells, in words.

use std::fmt;

/// A delimiter, as people are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelimiterName(pub char);

impl fmt::Display for DelimiterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            '\t' => formatter.write_str("tabs"),
            delimiter => write!(formatter, "\"{delimiter}\""),
        }
    }
}
