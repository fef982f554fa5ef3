//! How a word is set off, where colours are wanted.

/// How a word is set off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Style {
    Good,
    Bad,
    Doubtful,
    Strong,
}

impl Style {
    /// Sets a word off, if colours are wanted.
    pub(super) fn paint(self, text: &str, in_color: bool) -> String {
        if !in_color {
            return text.to_owned();
        }
        let code = match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Doubtful => "33",
            Self::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
