//! The tokens of a filter.

use std::fmt;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::FilterError;

/// The longest filter in bytes; the tokens of a longer one are not even counted.
const MAXIMUM_LENGTH: usize = 16_384;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'text> {
    /// A name, an operator or a path such as `machineTags/any`.
    Word(&'text str),
    /// A text in single quotes, without them.
    Text(String),
    /// Anything that begins with a digit or a minus: a number or a moment.
    Number(&'text str),
    Open,
    Close,
    Comma,
    Colon,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Number(text) => write!(formatter, "'{text}'"),
            Self::Text(text) => write!(formatter, "the text '{text}'"),
            Self::Open => formatter.write_str("'('"),
            Self::Close => formatter.write_str("')'"),
            Self::Comma => formatter.write_str("','"),
            Self::Colon => formatter.write_str("':'"),
        }
    }
}

/// The tokens of a filter, one after another.
#[derive(Debug)]
pub(super) struct Tokens<'text>(Peekable<IntoIter<Token<'text>>>);

impl<'text> Tokens<'text> {
    pub(super) fn new(text: &'text str) -> Result<Self, FilterError> {
        if text.len() > MAXIMUM_LENGTH {
            return Err(FilterError(format!("the expression is longer than {MAXIMUM_LENGTH} bytes")));
        }
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let (token, after) = token(first, rest)?;
            tokens.push(token);
            rest = after.trim_start();
        }
        Ok(Self(tokens.into_iter().peekable()))
    }

    /// Takes the next token if it is this word.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        self.0.next_if(|token| *token == Token::Word(word)).is_some()
    }
}

impl<'text> Iterator for Tokens<'text> {
    type Item = Token<'text>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// The token at the beginning of `rest`, and what follows it.
fn token(first: char, rest: &str) -> Result<(Token<'_>, &str), FilterError> {
    let mark = |token| (token, rest.strip_prefix(first).unwrap_or_default());
    Ok(match first {
        '(' => mark(Token::Open),
        ')' => mark(Token::Close),
        ',' => mark(Token::Comma),
        ':' => mark(Token::Colon),
        '\'' => quoted(mark(Token::Open).1)?,
        '0'..='9' | '-' => {
            let (number, after) =
                split(rest, |character| character.is_ascii_alphanumeric() || "-+.:".contains(character));
            (Token::Number(number), after)
        }
        'a'..='z' | 'A'..='Z' | '_' | '$' => {
            let (word, after) = split(rest, |character| character.is_ascii_alphanumeric() || "_/$".contains(character));
            (Token::Word(word), after)
        }
        other => return Err(FilterError(format!("the character '{other}' is not expected in an expression"))),
    })
}

/// The part of the text whose characters all belong, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|character| !belongs(character)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// A text up to its closing quote; a doubled quote stands for one.
fn quoted(mut rest: &str) -> Result<(Token<'_>, &str), FilterError> {
    let mut text = String::new();
    loop {
        let Some((part, after)) = rest.split_once('\'') else {
            return Err(FilterError("a text lacks its closing quote".to_owned()));
        };
        text.push_str(part);
        let Some(more) = after.strip_prefix('\'') else { return Ok((Token::Text(text), after)) };
        text.push('\'');
        rest = more;
    }
}
