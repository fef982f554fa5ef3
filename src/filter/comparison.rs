//! A column, an operator and its values: one comparison, typed by the values.

use jiff::Timestamp;
use memchr::memmem::Finder;
use regex::RegexBuilder;

use super::error::FilterErrorKind;
use super::expression::{Check, Expression, Test};
use super::literals::{self, Literal, Number};
use super::mention::Takes;
use super::names::nearest;
use super::operand::{Form, Operand};
use super::parser::Parser;
use super::scale::{Comparison, Scale};
use super::source::Span;
use super::text_test::{Phrase, Question, TextTest};
use super::tokens::{Fault, Token};

/// The most memory that a regular expression takes, and that its automaton may take while it runs.
const REGEX_MAXIMUM_BYTES: usize = 1024 * 1024;

/// The operators that are words, for naming the nearest one.
const WORD_OPERATORS: [&str; 27] = [
    "has",
    "!has",
    "has_cs",
    "!has_cs",
    "contains",
    "!contains",
    "contains_cs",
    "!contains_cs",
    "startswith",
    "!startswith",
    "startswith_cs",
    "!startswith_cs",
    "endswith",
    "!endswith",
    "endswith_cs",
    "!endswith_cs",
    "in",
    "!in",
    "in~",
    "!in~",
    "matches regex",
    "between",
    "!between",
    "and",
    "or",
    "==",
    "!=",
];

/// An operator, as it is written and what it means.
struct Operator {
    written: String,
    meaning: Meaning,
}

#[derive(Clone, Copy)]
enum Meaning {
    Compare(Comparison),
    /// `=~` and `!~`.
    Resemble {
        is_negated: bool,
    },
    Ask {
        question: fn(String) -> Question,
        is_contains: bool,
        folds: bool,
        is_negated: bool,
    },
    Among {
        folds: bool,
        is_negated: bool,
    },
    Between {
        is_negated: bool,
    },
    Match,
}

/// The values of one type that a column is compared with.
enum Values {
    Texts(Vec<String>),
    Numbers(Vec<Number>),
    Booleans(Vec<bool>),
    Dates(Vec<Timestamp>),
}

impl Parser<'_> {
    /// A comparison, with the column on either side of a sign.
    pub(super) fn comparison(&mut self) -> Result<Expression, Fault> {
        if self.is_literal() {
            let (literal, span) = self.literal()?;
            let mut operator = self.operator()?;
            let (Meaning::Compare(_) | Meaning::Resemble { .. }) = operator.meaning else {
                let hint = Some("write the column on the left");
                return Err(Fault::new(
                    span,
                    FilterErrorKind::Misplaced { expected: "a column", found: Some(self.excerpt(span)), hint },
                ));
            };
            if let Meaning::Compare(comparison) = operator.meaning {
                operator.meaning = Meaning::Compare(comparison.flipped());
            }
            let operand = self.operand()?;
            return self.typed(operand, &operator, literal, span);
        }
        let operand = self.operand()?;
        let operator = self.operator()?;
        match operator.meaning {
            Meaning::Among { .. } => self.among(operand, &operator),
            Meaning::Between { .. } => self.between(operand, &operator),
            _ => {
                let (literal, span) = self.literal()?;
                self.typed(operand, &operator, literal, span)
            }
        }
    }

    fn operator(&mut self) -> Result<Operator, Fault> {
        const ALONE: &str = "a column alone is no condition; write for example NAME == true or isnotempty(NAME)";
        let span = self.span();
        let (written, meaning) = match self.peek() {
            Some(Token::Sign(sign @ ("=~" | "!~"))) => (*sign, Meaning::Resemble { is_negated: *sign == "!~" }),
            Some(Token::Sign(sign)) => match Comparison::of(sign) {
                Some(comparison) => (*sign, Meaning::Compare(comparison)),
                None => return Err(self.misplaced("an operator", Some(ALONE))),
            },
            Some(Token::Word("matches")) => {
                self.advance();
                if self.peek() != Some(&Token::Word("regex")) {
                    return Err(self.misplaced("regex after matches", None));
                }
                ("matches regex", Meaning::Match)
            }
            Some(Token::Word("and" | "or")) => return Err(self.misplaced("an operator", Some(ALONE))),
            Some(Token::Word(word)) => {
                let unknown = || {
                    let (found, nearest) = ((*word).to_owned(), nearest(word, WORD_OPERATORS));
                    Fault::new(span, FilterErrorKind::UnknownOperator { found, nearest })
                };
                (*word, Meaning::of_word(word).ok_or_else(unknown)?)
            }
            _ => return Err(self.misplaced("an operator", Some(ALONE))),
        };
        self.advance();
        Ok(Operator { written: written.to_owned(), meaning })
    }

    /// `(a, b, c)`.
    fn among(&mut self, operand: Operand, operator: &Operator) -> Result<Expression, Fault> {
        self.expect("(")?;
        let (first, first_span) = self.literal()?;
        let mut values = Values::of(first);
        while self.take_sign(",") {
            let (literal, span) = self.literal()?;
            values.add(literal).map_err(|kind| Fault::new(span, kind))?;
        }
        if !self.take_sign(")") {
            return Err(self.misplaced(", or )", None));
        }
        self.check(operand, operator, values, first_span)
    }

    /// `(a .. b)`.
    fn between(&mut self, operand: Operand, operator: &Operator) -> Result<Expression, Fault> {
        self.expect("(")?;
        let (low, low_span) = self.literal()?;
        let mut values = Values::of(low);
        self.expect("..")?;
        let (high, high_span) = self.literal()?;
        values.add(high).map_err(|kind| Fault::new(high_span, kind))?;
        self.expect(")")?;
        self.check(operand, operator, values, low_span)
    }

    fn typed(
        &mut self,
        operand: Operand,
        operator: &Operator,
        literal: Literal,
        span: Span,
    ) -> Result<Expression, Fault> {
        self.check(operand, operator, Values::of(literal), span)
    }

    /// The check that an operator makes of a column's cells, by the type of the values.
    fn check(
        &mut self,
        operand: Operand,
        operator: &Operator,
        values: Values,
        span: Span,
    ) -> Result<Expression, Fault> {
        let Operand { form, name, span: name_span } = operand;
        let fault = |kind| Fault::new(span, kind);
        let check = match (form, values) {
            (Form::Cell, Values::Texts(texts)) => Check::Text(operator.of_texts(texts).map_err(fault)?),
            (Form::Lower, Values::Texts(texts)) => Check::LowerText(operator.of_texts(texts).map_err(fault)?),
            (Form::Cell, Values::Numbers(numbers)) => {
                Check::Number(operator.scale(numbers, "a number").map_err(fault)?)
            }
            (Form::Length, Values::Numbers(numbers)) => {
                Check::Length(operator.scale(numbers, "a number").map_err(fault)?)
            }
            (Form::Count, Values::Numbers(numbers)) => {
                Check::Count(operator.scale(numbers, "a number").map_err(fault)?)
            }
            (Form::Cell, Values::Dates(dates)) => Check::Date(operator.scale(dates, "a date").map_err(fault)?),
            (Form::Cell, Values::Booleans(booleans)) => {
                if operator.is_of_order() {
                    return Err(fault(operator.wrong_type("compares numbers and dates", "true or false", None)));
                }
                Check::Boolean(operator.scale(booleans, "true or false").map_err(fault)?)
            }
            (form, values) => return Err(fault(form.wrong_type(values.kind()))),
        };
        let takes = match (form, operator.meaning) {
            (Form::Count, _) => Takes::List,
            (Form::Cell, Meaning::Ask { is_contains: true, .. }) => Takes::Either,
            _ => Takes::Text,
        };
        let written = form.function().map_or_else(|| operator.written.clone(), str::to_owned);
        let slot = self.mention(name, name_span, written, takes);
        Ok(Expression::Test(Box::new(Test { slot, check })))
    }
}

impl Meaning {
    fn of_word(word: &str) -> Option<Self> {
        let (bare, is_negated) = word.strip_prefix('!').map_or((word, false), |bare| (bare, true));
        match bare {
            "in" => return Some(Self::Among { folds: false, is_negated }),
            "in~" => return Some(Self::Among { folds: true, is_negated }),
            "between" => return Some(Self::Between { is_negated }),
            _ => {}
        }
        let (bare, folds) = bare.strip_suffix("_cs").map_or((bare, true), |bare| (bare, false));
        let question: fn(String) -> Question = match bare {
            "has" => |literal| Question::Has(Phrase::new(literal)),
            "contains" => |literal| Question::Contains(Finder::new(&literal).into_owned()),
            "startswith" => Question::StartsWith,
            "endswith" => Question::EndsWith,
            _ => return None,
        };
        Some(Self::Ask { question, is_contains: bare == "contains", folds, is_negated })
    }
}

impl Operator {
    const fn is_of_order(&self) -> bool {
        match self.meaning {
            Meaning::Compare(comparison) => comparison.is_of_order(),
            Meaning::Between { .. } => true,
            _ => false,
        }
    }

    fn wrong_type(&self, takes: &'static str, found: &'static str, hint: Option<String>) -> FilterErrorKind {
        FilterErrorKind::WrongType { operator: self.written.clone(), takes, found, hint }
    }

    /// The test of texts. There is one, but for lists and ranges.
    fn of_texts(&self, mut texts: Vec<String>) -> Result<TextTest, FilterErrorKind> {
        let (folds, is_negated) = match self.meaning {
            Meaning::Among { folds, is_negated } => return Ok(TextTest::among(texts, folds, is_negated)),
            Meaning::Between { .. } => return Err(self.text_without_order(&texts)),
            Meaning::Compare(comparison) if comparison.is_of_order() => return Err(self.text_without_order(&texts)),
            Meaning::Compare(comparison) => (false, comparison == Comparison::Unequal),
            Meaning::Resemble { is_negated } => (true, is_negated),
            Meaning::Ask { folds, is_negated, .. } => (folds, is_negated),
            Meaning::Match => (false, false),
        };
        let literal = texts.pop().unwrap_or_default();
        let question = match self.meaning {
            Meaning::Match => {
                return Ok(TextTest { question: Question::Matches(regex(&literal)?), folds, is_negated });
            }
            Meaning::Ask { question, .. } => question,
            _ => Question::Equals,
        };
        Ok(TextTest::about(literal, question, folds, is_negated))
    }

    /// Nobody means the order of letters.
    fn text_without_order(&self, texts: &[String]) -> FilterErrorKind {
        let hint = texts.first().and_then(|text| {
            if literals::date(text.trim()).is_some() {
                Some(format!("write datetime({})", text.trim()))
            } else if Number::parse(text.trim()).is_some() {
                Some(format!("write {} without quotation marks", text.trim()))
            } else {
                None
            }
        });
        self.wrong_type("compares numbers and dates", "text", hint)
    }

    /// The test of values that have an order.
    fn scale<T: Ord>(&self, mut values: Vec<T>, found: &'static str) -> Result<Scale<T>, FilterErrorKind> {
        let wrong_type = || self.wrong_type("compares text", found, None);
        match self.meaning {
            Meaning::Compare(comparison) => {
                values.pop().map(|value| Scale::Compared(comparison, value)).ok_or_else(wrong_type)
            }
            Meaning::Among { folds: false, is_negated } => Ok(Scale::among(values, is_negated)),
            Meaning::Between { is_negated } => match (values.pop(), values.pop()) {
                (Some(high), Some(low)) => Ok(Scale::Between { low, high, is_negated }),
                _ => Err(wrong_type()),
            },
            _ => Err(wrong_type()),
        }
    }
}

impl Values {
    fn of(literal: Literal) -> Self {
        match literal {
            Literal::Text(text) => Self::Texts(vec![text]),
            Literal::Number(number) => Self::Numbers(vec![number]),
            Literal::Boolean(boolean) => Self::Booleans(vec![boolean]),
            Literal::Date(date) => Self::Dates(vec![date]),
        }
    }

    fn add(&mut self, literal: Literal) -> Result<(), FilterErrorKind> {
        let (first, second) = (self.kind(), literal.kind());
        match (self, literal) {
            (Self::Texts(texts), Literal::Text(text)) => texts.push(text),
            (Self::Numbers(numbers), Literal::Number(number)) => numbers.push(number),
            (Self::Booleans(booleans), Literal::Boolean(boolean)) => booleans.push(boolean),
            (Self::Dates(dates), Literal::Date(date)) => dates.push(date),
            _ => return Err(FilterErrorKind::MixedTypes { first, second }),
        }
        Ok(())
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Texts(_) => "text",
            Self::Numbers(_) => "a number",
            Self::Booleans(_) => "true or false",
            Self::Dates(_) => "a date",
        }
    }
}

fn regex(pattern: &str) -> Result<regex::Regex, FilterErrorKind> {
    let built = RegexBuilder::new(pattern).size_limit(REGEX_MAXIMUM_BYTES).dfa_size_limit(REGEX_MAXIMUM_BYTES).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => FilterErrorKind::RegexTooLarge,
        // The library draws the pattern, and says what is wrong on its last line.
        error => {
            let drawn = error.to_string();
            let last = drawn.lines().last().unwrap_or_default().trim_start_matches("error: ");
            FilterErrorKind::BadRegex { message: format!("bad regular expression: {}", crate::outside::shown(last)) }
        }
    })
}
