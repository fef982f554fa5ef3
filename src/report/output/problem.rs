//! One way to show an error: what happened, why, and what to do.

use std::error::Error;
use std::fmt::Write as _;

use super::style::Style;
use crate::outside::shown;

/// An error with what to do about it.
#[derive(Debug)]
pub(crate) struct Problem {
    /// What happened, with its causes.
    pub error: ProblemSource,
    pub hint: Option<String>,
}

/// An error of any room.
pub(crate) type ProblemSource = Box<dyn Error + Send + Sync>;

impl Problem {
    /// The error with its causes, on one line.
    pub(in crate::report) fn on_one_line(&self) -> String {
        let mut text = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            // Writing into a string cannot fail.
            let _written = write!(text, ": {error}");
            cause = error.source();
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The error as text: `error:`, `caused by:` for each cause, `hint:`.
    pub(crate) fn render(&self, in_color: bool) -> String {
        let mut text = format!("{} {}", Style::Bad.paint("error:", in_color), self.error);
        let mut cause = self.error.source();
        while let Some(error) = cause {
            // Writing into a string cannot fail.
            let _written = write!(text, "\n  caused by: {}", shown(&error.to_string()));
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            let _written = write!(text, "\n  {} {hint}", Style::Strong.paint("hint:", in_color));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the book")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_error_shows_its_causes_and_what_to_do() {
        let problem =
            Problem { error: Box::new(Outer(std::io::Error::other("it is glued"))), hint: Some("take another".into()) };
        insta::assert_snapshot!(problem.render(false), @r"
        error: cannot open the book
          caused by: it is glued
          hint: take another
        ");
    }
}
