//! A filter's text to tokens.

use jiff::{SignedDuration, Timestamp};
use winnow::combinator::{alt, delimited, opt, peek, preceded, repeat};
use winnow::error::ParserError;
use winnow::stream::{LocatingSlice, Location, Stream as _};
use winnow::token::{any, literal, one_of, take_till, take_while};
use winnow::{Parser, Result};

use super::error::FilterErrorKind;
use super::literals::{self, Number};
use super::names::{is_word_part, is_word_start};
use super::source::Span;

type Input<'s> = LocatingSlice<&'s str>;

/// What is wrong with a text, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) kind: FilterErrorKind,
}

impl Fault {
    pub(super) fn new(span: impl Into<Span>, kind: FilterErrorKind) -> Self {
        Self { span: span.into(), kind }
    }
}

/// A piece of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'s> {
    /// A name, a function or an operator that is a word: `!has_cs` and `in~` too.
    Word(&'s str),
    /// A name in brackets: `['OS Platform']`.
    Name(String),
    Text(String),
    Number(Number),
    TimeSpan(SignedDuration),
    Date(Timestamp),
    Sign(&'static str),
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<'s> {
    pub(super) token: Token<'s>,
    pub(super) span: Span,
}

/// Comparisons and punctuation, the longer first.
const SIGNS: [&str; 13] = ["==", "!=", "=~", "!~", "<=", ">=", "..", "<", ">", "(", ")", ",", "."];

/// Signs of other languages, which are named whole when they are refused; the longer first.
const FOREIGN_SIGNS: [&str; 8] = ["<>", "&&", "||", "/*", "--", "=", "&", "|"];

/// Finds all tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, Fault> {
    let mut input = Input::new(text);
    let mut tokens = Vec::new();
    loop {
        blanks(&mut input)?;
        if input.is_empty() {
            return Ok(tokens);
        }
        let (token, span) = token.with_span().parse_next(&mut input)?;
        tokens.push(Placed { token, span: span.into() });
    }
}

/// Blanks of all kinds, and comments to the end of their line.
fn blanks(input: &mut Input<'_>) -> Result<(), Fault> {
    let comment = (literal("//"), take_till(0.., '\n')).void();
    repeat(0.., alt((take_while(1.., char::is_whitespace).void(), comment))).parse_next(input)
}

fn token<'s>(input: &mut Input<'s>) -> Result<Token<'s>, Fault> {
    match peek(any::<_, Fault>).parse_next(input)? {
        '\'' | '"' => escaped_string.map(Token::Text).parse_next(input),
        '@' => verbatim_string.map(Token::Text).parse_next(input),
        '[' => bracketed_name.map(Token::Name).parse_next(input),
        '0'..='9' => number(input),
        '-' if starts_number(input) => number(input),
        first if is_word_start(first) => word_or_date(input),
        '!' if starts_negated_word(input) => word.map(Token::Word).parse_next(input),
        _ => sign.map(Token::Sign).parse_next(input),
    }
}

fn starts_number(input: &Input<'_>) -> bool {
    input.get(1..).is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
}

fn starts_negated_word(input: &Input<'_>) -> bool {
    input.get(1..).is_some_and(|rest| rest.starts_with(is_word_start))
}

fn sign(input: &mut Input<'_>) -> Result<&'static str, Fault> {
    if let Some(foreign) = FOREIGN_SIGNS.into_iter().find(|sign| input.starts_with(sign))
        && !SIGNS.iter().any(|sign| sign.len() > foreign.len() && input.starts_with(sign))
        && !(foreign == "=" && input.starts_with("=="))
    {
        return Err(unknown_sign(input, foreign));
    }
    let Some(sign) = SIGNS.into_iter().find(|sign| input.starts_with(sign)) else {
        return Err(Fault::from_input(input));
    };
    literal(sign).value(sign).parse_next(input)
}

fn unknown_sign(input: &Input<'_>, found: &str) -> Fault {
    let start = input.current_token_start();
    Fault::new(start..start + found.len(), FilterErrorKind::UnknownSign { found: found.to_owned() })
}

/// Where nothing begins, whatever stands there is no sign of the language.
impl<'s> ParserError<Input<'s>> for Fault {
    type Inner = Self;

    fn from_input(input: &Input<'s>) -> Self {
        unknown_sign(input, &input.chars().next().map(String::from).unwrap_or_default())
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// A word, perhaps with `!` in front; `in` also with `~` behind.
fn word<'s>(input: &mut Input<'s>) -> Result<&'s str, Fault> {
    let start = input.checkpoint();
    let word = (opt('!'), take_while(1.., is_word_part)).take().parse_next(input)?;
    if !matches!(word, "in" | "!in") || !input.starts_with('~') {
        return Ok(word);
    }
    input.reset(&start);
    (literal(word), '~').take().parse_next(input)
}

/// `datetime(…)` is one token, since what stands in it follows rules of its own.
fn word_or_date<'s>(input: &mut Input<'s>) -> Result<Token<'s>, Fault> {
    let word = word(input)?;
    if word != "datetime" || !input.trim_start().starts_with('(') {
        return Ok(Token::Word(word));
    }
    let (inner, span) = preceded((blanks, '('), take_till(0.., ')').with_span()).parse_next(input)?;
    let bare = inner.trim().trim_matches(['\'', '"']);
    let bad_date = || Fault::new(span, FilterErrorKind::BadDate { found: inner.chars().take(40).collect() });
    let date = literals::date(bare).ok_or_else(bad_date)?;
    opt(')').parse_next(input)?.ok_or_else(|| {
        let start = input.current_token_start();
        Fault::new(start..start, FilterErrorKind::Misplaced { expected: ")", found: None, hint: None })
    })?;
    Ok(Token::Date(date))
}

/// A number, or one with a unit of time. Two dots behind it are a range's.
fn number<'s>(input: &mut Input<'s>) -> Result<Token<'s>, Fault> {
    let digits = || take_while(1.., |character: char| character.is_ascii_digit());
    let fraction = || opt(('.', digits()));
    let exponent = || opt((one_of(['e', 'E']), opt(one_of(['+', '-'])), digits()));
    let suffix = take_while(0.., is_word_part);
    let whole = (opt('-'), digits(), fraction(), exponent()).take();
    let ((whole, suffix), span) = (whole, suffix).with_span().parse_next(input)?;
    let text = format!("{whole}{suffix}");
    let token = if suffix.is_empty() {
        Number::parse(whole).map(Token::Number)
    } else {
        literals::time_span(&text).map(Token::TimeSpan)
    };
    token.ok_or_else(|| Fault::new(span, FilterErrorKind::BadNumber { found: text }))
}

/// `'…'` or `"…"`, in which a backslash gives the next character another meaning.
fn escaped_string(input: &mut Input<'_>) -> Result<String, Fault> {
    let start = input.current_token_start();
    let quote = any.parse_next(input)?;
    let mut text = String::new();
    loop {
        let plain: &str = take_till(0.., [quote, '\\', '\n', '\r']).parse_next(input)?;
        text.push_str(plain);
        match opt(any).parse_next(input)? {
            Some(closing) if closing == quote => return Ok(text),
            Some('\\') => text.push(escape(input)?),
            _ => return Err(unclosed(input, start, FilterErrorKind::UnclosedString)),
        }
    }
}

/// What stands behind a backslash.
fn escape(input: &mut Input<'_>) -> Result<char, Fault> {
    let start = input.current_token_start() - 1;
    let escaped = opt(any).parse_next(input)?;
    Ok(match escaped {
        Some(itself @ ('\\' | '\'' | '"')) => itself,
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return code_point(input, start),
        other => {
            let found = format!("\\{}", other.map(String::from).unwrap_or_default());
            return Err(Fault::new(start..start + found.len(), FilterErrorKind::UnknownEscape { found }));
        }
    })
}

/// The four hexadecimal digits of `\u00e9`.
fn code_point(input: &mut Input<'_>, start: usize) -> Result<char, Fault> {
    let digits: &str = take_while(0..=4, |it: char| it.is_ascii_hexdigit()).parse_next(input)?;
    let found = || FilterErrorKind::UnknownEscape { found: format!("\\u{digits}") };
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 4);
    code.and_then(char::from_u32).ok_or_else(|| Fault::new(start..input.current_token_start(), found()))
}

/// `@'…'`, in which backslashes stand for themselves, and a quotation mark is written twice.
fn verbatim_string(input: &mut Input<'_>) -> Result<String, Fault> {
    let start = input.current_token_start();
    let at_sign = || Fault::new(start..start + 1, FilterErrorKind::UnknownSign { found: "@".to_owned() });
    let quote = preceded('@', one_of(['\'', '"'])).parse_next(input).map_err(|_: Fault| at_sign())?;
    let mut text = String::new();
    loop {
        let plain: &str = take_till(0.., [quote, '\n', '\r']).parse_next(input)?;
        text.push_str(plain);
        if opt(quote).parse_next(input)?.is_none() {
            return Err(unclosed(input, start, FilterErrorKind::UnclosedString));
        }
        if opt(quote).parse_next(input)?.is_none() {
            return Ok(text);
        }
        text.push(quote);
    }
}

/// `['…']`.
fn bracketed_name(input: &mut Input<'_>) -> Result<String, Fault> {
    let start = input.current_token_start();
    ('[', blanks).parse_next(input)?;
    if !input.starts_with(['\'', '"']) {
        return Err(unclosed(input, start, FilterErrorKind::UnclosedName));
    }
    let name = escaped_string(input)?;
    delimited(blanks, opt(']'), ())
        .parse_next(input)?
        .ok_or_else(|| unclosed(input, start, FilterErrorKind::UnclosedName))?;
    Ok(name)
}

fn unclosed(input: &Input<'_>, start: usize, kind: FilterErrorKind) -> Fault {
    Fault::new(start..input.current_token_start(), kind)
}
