//! Why a text is no filter, or why a filter does not fit its columns.

use std::fmt;

use super::names::{ColumnName, Columns, nearest, only_ending, same, shortened};
use super::source::{Place, Span};
use crate::outside::shown;

/// The most names that a message lists.
const LISTED_NAMES: usize = 40;

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    kind: Box<FilterErrorKind>,
    place: Place,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterErrorKind {
    /// Nothing but blanks and comments.
    #[error("the filter is empty")]
    Empty,
    /// Longer than any that makes sense.
    #[error("the filter is longer than 1 MiB")]
    TooLong,
    /// A character that begins nothing.
    #[error("unexpected {}", quoted(found))]
    UnknownSign {
        /// The sign.
        found: String,
    },
    /// A string without its end.
    #[error("the string has no closing quotation mark")]
    UnclosedString,
    /// A name in brackets without its end.
    #[error("the name has no closing bracket; write ['NAME']")]
    UnclosedName,
    /// A backslash before something that it has no meaning with.
    #[error("unknown escape {}", quoted(found))]
    UnknownEscape {
        /// The backslash and what follows.
        found: String,
    },
    /// Digits with something behind them.
    #[error("{} is neither a number nor a time span", quoted(found))]
    BadNumber {
        /// What stands there.
        found: String,
    },
    /// What is no date.
    #[error("{} is not a date", quoted(found))]
    BadDate {
        /// What stands in the parentheses.
        found: String,
    },
    /// A time before or after all that can be counted.
    #[error("the time is out of range")]
    TimeOutOfRange,
    /// What the regular expressions do not understand.
    #[error("{message}")]
    BadRegex {
        /// In the words of the library.
        message: String,
    },
    /// A regular expression that takes too much memory.
    #[error("the regular expression is too large")]
    RegexTooLarge,
    /// What is no range of addresses.
    #[error("{} is not a range of IPv4 addresses", quoted(found))]
    BadAddressRange {
        /// What stands there.
        found: String,
    },
    /// Something else was expected.
    #[error("expected {}, found {}", expected_words(expected), found_words(found.as_deref()))]
    Misplaced {
        /// What may stand there: a sign, or words.
        expected: &'static str,
        /// What does; nothing at the end.
        found: Option<String>,
        /// What to do, if there is more to say.
        hint: Option<&'static str>,
    },
    /// No operator of this name.
    #[error("unknown operator {}", quoted(found))]
    UnknownOperator {
        /// What stands there.
        found: String,
        /// What it may be meant for.
        nearest: Option<&'static str>,
    },
    /// No function of this name.
    #[error("unknown function {}", quoted(found))]
    UnknownFunction {
        /// What stands there.
        found: String,
        /// What it may be meant for.
        nearest: Option<&'static str>,
    },
    /// A literal of a type that the operator does not take.
    #[error("{} {takes}, and this is {found}", quoted(operator))]
    WrongType {
        /// The operator or function.
        operator: String,
        /// What it takes, in words.
        takes: &'static str,
        /// What it got, in words.
        found: &'static str,
        /// What to do, if there is more to say.
        hint: Option<String>,
    },
    /// Literals of two types in one list or range.
    #[error("the values are of two types: {first} and {second}")]
    MixedTypes {
        /// The type of the first.
        first: &'static str,
        /// That of the one that differs.
        second: &'static str,
    },
    /// More parentheses within each other than are read.
    #[error("parentheses are nested more than 32 deep")]
    TooDeep,
    /// No column of this name.
    #[error("unknown column {name}")]
    UnknownColumn {
        name: ColumnName,
        /// The name that is nearest to it.
        nearest: Option<String>,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Nothing is called as what stands before the dot.
    #[error("{message}")]
    UnknownQualifier {
        /// In the words of whoever knows the columns.
        message: String,
        hint: String,
    },
    /// Several columns of one name.
    #[error("{name} can be any of the columns {}", listed(columns))]
    AmbiguousColumn {
        name: ColumnName,
        /// The columns' names.
        columns: Vec<String>,
    },
    /// An operator for texts on a column of lists.
    #[error("{} compares a single text, and {column} is a list", quoted(operator))]
    ListColumn {
        /// The operator or function.
        operator: String,
        column: ColumnName,
    },
    /// A function for lists on another column.
    #[error("{} takes a list, and {column} is none", quoted(function))]
    NoListColumn { function: String, column: ColumnName },
}

impl FilterErrorKind {
    /// A name that no column has.
    pub(super) fn unknown_column(name: &ColumnName, columns: &dyn Columns) -> Self {
        let qualifier = name.qualifier.as_deref();
        if let Some((message, hint)) = qualifier.and_then(|qualifier| columns.unknown_qualifier(qualifier)) {
            return Self::UnknownQualifier { message, hint };
        }
        let (known, elsewhere) = (columns.known(qualifier), columns.elsewhere());
        // The qualifier says nothing of how near its names are.
        let own_part = |known: &'_ String| match known.split_once('.').filter(|_| qualifier.is_some()) {
            Some((_, own)) => own.to_owned(),
            None => known.clone(),
        };
        let own: Vec<String> = known.iter().map(own_part).collect();
        let names = || own.iter().map(String::as_str);
        let of_known = |found: Option<&str>| {
            let place = own.iter().position(|own| Some(own.as_str()) == found)?;
            known.get(place).cloned()
        };
        let others = || elsewhere.iter().map(|other| other.name.as_str());
        let of_others = |found: Option<&str>| {
            let other = elsewhere.iter().find(|other| Some(other.name.as_str()) == found);
            other.map(ColumnName::written)
        };
        let meant = of_others(same(&name.name, others()))
            .or_else(|| of_known(nearest(&name.name, names())))
            .or_else(|| of_known(only_ending(&name.name, names())))
            .or_else(|| of_others(nearest(&name.name, others())))
            .or_else(|| of_others(only_ending(&name.name, others())));
        Self::UnknownColumn { name: name.clone(), nearest: meant, known }
    }

    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Empty => "write a condition, for example OSPlatform == 'Windows11'",
            Self::UnknownSign { found } => return sign_hint(found).map(str::to_owned),
            Self::UnclosedString => "a quotation mark is \\' within '…' and '' within @'…', and a line break is \\n",
            Self::UnknownEscape { .. } => {
                "write \\\\ for a backslash, or @'…', in which backslashes stand for themselves"
            }
            Self::BadNumber { .. } => {
                "time spans end in d, h, m, s or ms, as in ago(30d); text stands in quotation marks"
            }
            Self::BadDate { .. } => "write datetime(2026-01-31) or datetime(2026-01-31T08:00:00Z)",
            Self::RegexTooLarge => "shorten it, or replace large repetitions such as {1000}",
            Self::BadAddressRange { .. } => "write for example '10.0.0.0/8'",
            Self::Misplaced { hint, .. } => return hint.map(str::to_owned),
            Self::UnknownOperator { nearest, .. } => return Some(nearest_or(*nearest, "the operators are", OPERATORS)),
            Self::UnknownFunction { nearest, .. } => {
                return Some(nearest_or(*nearest, "the functions are", &FUNCTIONS.join(" ")));
            }
            Self::WrongType { hint, .. } => return hint.clone(),
            Self::UnknownColumn { nearest, known, .. } => return Some(column_hint(nearest.as_deref(), known)),
            Self::UnknownQualifier { hint, .. } => return Some(hint.clone()),
            Self::AmbiguousColumn { .. } => "rename all but one of them",
            Self::ListColumn { operator, column } => return list_hint(operator, column),
            Self::NoListColumn { .. } => {
                "lists are machineTags, DeviceManualTags and the portal's Tags; compare other columns with == or contains"
            }
            Self::TooDeep | Self::TooLong => "split it",
            Self::UnclosedName | Self::TimeOutOfRange | Self::BadRegex { .. } | Self::MixedTypes { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// The operators, as they are listed for people.
const OPERATORS: &str = "== != =~ !~ < <= > >=, in in~ has contains startswith endswith (with ! in front or _cs behind), \
                         matches regex, between; a name with blanks is written without them";
/// The functions, as they are listed for people.
pub(super) const FUNCTIONS: [&str; 11] = [
    "not",
    "isempty",
    "isnotempty",
    "tolower",
    "strlen",
    "ago",
    "now",
    "datetime",
    "set_has_element",
    "array_length",
    "ipv4_is_in_range",
];

fn nearest_or(nearest: Option<&'static str>, listed: &str, all: &str) -> String {
    nearest.map_or_else(|| format!("{listed} {all}"), |nearest| format!("did you mean {nearest}?"))
}

fn list_hint(operator: &str, column: &ColumnName) -> Option<String> {
    let column = column.written();
    match operator {
        "strlen" => Some(format!("write array_length({column})")),
        "ipv4_is_in_range" => None,
        _ => Some(format!("write set_has_element({column}, 'TEXT')")),
    }
}

fn expected_words(expected: &str) -> String {
    if expected.contains(char::is_alphabetic) { expected.to_owned() } else { format!("\"{expected}\"") }
}

fn found_words(found: Option<&str>) -> String {
    found.map_or_else(|| "the end of the filter".to_owned(), quoted)
}

fn column_hint(nearest: Option<&str>, known: &[String]) -> String {
    let columns = match known {
        [] => "there are no columns of that kind".to_owned(),
        known => format!("the columns are {}", listed(known)),
    };
    nearest.map_or_else(|| columns.clone(), |nearest| format!("did you mean {}? {columns}", shown(nearest)))
}

fn sign_hint(found: &str) -> Option<&'static str> {
    Some(match found {
        "=" => "write == to compare, or =~ to compare in either case",
        "&" | "&&" => "write and",
        "|" | "||" => "write or",
        "!" => "write not(…)",
        "<>" => "write !=",
        "‘" | "’" | "“" | "”" | "„" | "`" => "write straight quotation marks: ' or \"",
        "/*" | "#" | "--" => "comments begin with //",
        "+" | "-" | "*" | "/" | "%" => {
            "filters do not calculate: write ago(30d) for the time 30 days ago, and ['NAME'] for a name with such a sign"
        }
        _ => return None,
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(shortened(text).as_ref()))
}

fn listed(names: &[String]) -> String {
    let shown_names: Vec<String> = names.iter().take(LISTED_NAMES).map(shown).collect();
    let more = names.len().saturating_sub(LISTED_NAMES);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown_names.join(", "))
}

/// What is wrong with a name that no column has, and what to do, where it does not stand in a filter.
pub(crate) fn unknown_column(name: &ColumnName, columns: &dyn Columns) -> (String, String) {
    let kind = FilterErrorKind::unknown_column(name, columns);
    (kind.to_string(), kind.hint().unwrap_or_default())
}

impl FilterError {
    pub(super) fn new(source: &str, span: Span, kind: FilterErrorKind) -> Self {
        Self { kind: Box::new(kind), place: Place::of(source, span) }
    }

    /// What is wrong.
    pub fn kind(&self) -> &FilterErrorKind {
        &self.kind
    }

    /// The line, from 1.
    pub const fn line(&self) -> usize {
        self.place.line
    }

    /// The character on the line, from 1.
    pub const fn column(&self) -> usize {
        self.place.column
    }

    /// The line and, below it, carets where the fault is. A long line is cut around them.
    pub fn excerpt(&self) -> &str {
        &self.place.excerpt
    }

    pub fn hint(&self) -> Option<String> {
        self.kind.hint()
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}: {}", self.line(), self.column(), self.kind)
    }
}

impl std::error::Error for FilterError {}
