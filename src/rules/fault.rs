//! What is wrong with a file of rules, and where.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line of the file, from 1.
    pub line: usize,
    pub message: String,
    pub hint: Option<String>,
}

impl Fault {
    /// A fault on this line.
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into(), hint: None }
    }

    /// With what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, message, hint } = self;
        write!(formatter, "line {line}: {message}")?;
        // Below an excerpt there is no line to go on with.
        let before = if message.contains('\n') { "\n    hint: " } else { "; " };
        hint.as_ref().map_or(Ok(()), |hint| write!(formatter, "{before}{hint}"))
    }
}
