//! `$filter`: the part of `OData`'s expression language that the machine list documents.
//!
//! A recursive parser over the tokens of [`lexer`]: comparisons, `in`, `startswith`, `endswith`, `contains`, `not`,
//! `and`, `or`, parentheses, and `machineTags/any(t: ...)` with any of these inside. What surprises: depth is bounded,
//! because the text comes from the network; and types are checked while parsing, so evaluating cannot fail.

mod lexer;

use std::borrow::Cow;
use std::cmp::Ordering;

use jiff::Timestamp;

use super::view::MachineView;
use lexer::{Token, Tokens};

/// How deep parentheses, `not` and `any` may nest.
const MAXIMUM_DEPTH: usize = 32;

/// A filter that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter(Condition);

/// Why a filter was not understood; a fragment for the message of an `ODataError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct FilterError(String);

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Field, Comparison, Literal),
    In(Field, Vec<Literal>),
    Text(TextTest, Field, String),
    AnyTag(Box<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    ComputerDnsName,
    FirstSeen,
    LastSeen,
    OsPlatform,
    Version,
    LastIpAddress,
    LastExternalIpAddress,
    HealthStatus,
    OnboardingStatus,
    DeviceValue,
    RbacGroupId,
    RbacGroupName,
    RiskScore,
    ExposureLevel,
    IsAadJoined,
    AadDeviceId,
    /// The variable of `machineTags/any(variable: ...)`.
    Tag,
}

/// What a field holds or a filter names.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Value<'text> {
    Text(Cow<'text, str>),
    Number(i64),
    Moment(Timestamp),
    Truth(bool),
    Null,
}

type Literal = Value<'static>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Moment,
    Truth,
}

impl Field {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "computerDnsName" => Self::ComputerDnsName,
            "firstSeen" => Self::FirstSeen,
            "lastSeen" => Self::LastSeen,
            "osPlatform" => Self::OsPlatform,
            "version" => Self::Version,
            "lastIpAddress" => Self::LastIpAddress,
            "lastExternalIpAddress" => Self::LastExternalIpAddress,
            "healthStatus" => Self::HealthStatus,
            "onboardingStatus" => Self::OnboardingStatus,
            "deviceValue" => Self::DeviceValue,
            "rbacGroupId" => Self::RbacGroupId,
            "rbacGroupName" => Self::RbacGroupName,
            "riskScore" => Self::RiskScore,
            "exposureLevel" => Self::ExposureLevel,
            "isAadJoined" => Self::IsAadJoined,
            "aadDeviceId" => Self::AadDeviceId,
            _ => return None,
        })
    }

    const fn kind(self) -> Kind {
        match self {
            Self::FirstSeen | Self::LastSeen => Kind::Moment,
            Self::RbacGroupId => Kind::Number,
            Self::IsAadJoined => Kind::Truth,
            _ => Kind::Text,
        }
    }

    fn value<'view>(self, machine: &'view MachineView<'_>, tag: Option<&'view str>) -> Value<'view> {
        let text = |text: &'view str| Value::Text(Cow::Borrowed(text));
        match self {
            Self::Id => Value::Text(machine.id.to_string().into()),
            Self::ComputerDnsName => text(machine.computer_dns_name),
            Self::FirstSeen => Value::Moment(machine.first_seen.0),
            Self::LastSeen => Value::Moment(machine.last_seen.0),
            Self::OsPlatform => text(machine.os_platform),
            Self::Version => machine.version.map_or(Value::Null, text),
            Self::LastIpAddress => Value::Text(machine.last_ip_address.to_string().into()),
            Self::LastExternalIpAddress => Value::Text(machine.last_external_ip_address.to_string().into()),
            Self::HealthStatus => text(machine.health_status),
            Self::OnboardingStatus => text(machine.onboarding_status),
            Self::DeviceValue => text(machine.device_value.name()),
            Self::RbacGroupId => Value::Number(machine.rbac_group_id.into()),
            Self::RbacGroupName => text(machine.rbac_group_name),
            Self::RiskScore => text(machine.risk_score),
            Self::ExposureLevel => text(machine.exposure_level),
            Self::IsAadJoined => Value::Truth(machine.is_aad_joined),
            Self::AadDeviceId => Value::Text(machine.aad_device_id.to_string().into()),
            Self::Tag => tag.map_or(Value::Null, text),
        }
    }
}

impl Comparison {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            _ => return None,
        })
    }

    fn holds(self, left: &Value<'_>, right: &Literal) -> bool {
        // Ordering against null is false, as `OData` has it; equality is not.
        let order = if *left == Value::Null || *right == Value::Null { None } else { left.partial_cmp(right) };
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
        }
    }
}

impl TextTest {
    fn holds(self, whole: &str, part: &str) -> bool {
        match self {
            Self::StartsWith => whole.starts_with(part),
            Self::EndsWith => whole.ends_with(part),
            Self::Contains => whole.contains(part),
        }
    }
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`FilterError`] names the first thing that is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser { tokens: Tokens::new(text)?, variable: None, depth: 0 };
        let condition = parser.any_of()?;
        match parser.tokens.next() {
            None => Ok(Self(condition)),
            Some(token) => Err(FilterError(format!("{token} is not expected after the end of an expression"))),
        }
    }

    /// Whether the list shows this machine.
    pub(super) fn admits(&self, machine: &MachineView<'_>) -> bool {
        self.0.holds(machine, None)
    }
}

impl Condition {
    fn holds(&self, machine: &MachineView<'_>, tag: Option<&str>) -> bool {
        match self {
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(machine, tag)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(machine, tag)),
            Self::Not(condition) => !condition.holds(machine, tag),
            Self::Compare(field, comparison, literal) => comparison.holds(&field.value(machine, tag), literal),
            Self::In(field, literals) => literals.contains(&field.value(machine, tag)),
            Self::Text(test, field, part) => match field.value(machine, tag) {
                Value::Text(whole) => test.holds(&whole, part),
                _ => false,
            },
            Self::AnyTag(condition) => machine.machine_tags.iter().any(|tag| condition.holds(machine, Some(tag))),
        }
    }
}

struct Parser<'text> {
    tokens: Tokens<'text>,
    /// The variable that stands for a tag, inside of `any`.
    variable: Option<&'text str>,
    depth: usize,
}

impl<'text> Parser<'text> {
    fn any_of(&mut self) -> Result<Condition, FilterError> {
        let mut conditions = vec![self.all_of()?];
        while self.tokens.take_word("or") {
            conditions.push(self.all_of()?);
        }
        Ok(Condition::Any(conditions))
    }

    fn all_of(&mut self) -> Result<Condition, FilterError> {
        let mut conditions = vec![self.single()?];
        while self.tokens.take_word("and") {
            conditions.push(self.single()?);
        }
        Ok(Condition::All(conditions))
    }

    fn single(&mut self) -> Result<Condition, FilterError> {
        self.depth += 1;
        if self.depth > MAXIMUM_DEPTH {
            return Err(FilterError(format!("the expression nests deeper than {MAXIMUM_DEPTH} levels")));
        }
        let condition = match self.tokens.next() {
            Some(Token::Open) => {
                let condition = self.any_of()?;
                self.expect(&Token::Close)?;
                condition
            }
            Some(Token::Word("not")) => Condition::Not(Box::new(self.single()?)),
            Some(Token::Word("startswith")) => self.text_test(TextTest::StartsWith)?,
            Some(Token::Word("endswith")) => self.text_test(TextTest::EndsWith)?,
            Some(Token::Word("contains")) => self.text_test(TextTest::Contains)?,
            Some(Token::Word("machineTags/any")) => self.any_tag()?,
            Some(Token::Word(name)) => self.comparison(name)?,
            other => return Err(unexpected(other, "a field, a function, 'not' or '('")),
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn text_test(&mut self, test: TextTest) -> Result<Condition, FilterError> {
        self.expect(&Token::Open)?;
        let field = match self.tokens.next() {
            Some(Token::Word(name)) => self.field(name)?,
            other => return Err(unexpected(other, "a field")),
        };
        if field.kind() != Kind::Text {
            return Err(FilterError("text functions take text fields only".to_owned()));
        }
        self.expect(&Token::Comma)?;
        let part = match self.tokens.next() {
            Some(Token::Text(part)) => part,
            other => return Err(unexpected(other, "a text in single quotes")),
        };
        self.expect(&Token::Close)?;
        Ok(Condition::Text(test, field, part))
    }

    fn any_tag(&mut self) -> Result<Condition, FilterError> {
        self.expect(&Token::Open)?;
        let variable = match self.tokens.next() {
            Some(Token::Word(variable)) => variable,
            other => return Err(unexpected(other, "the name of a variable")),
        };
        self.expect(&Token::Colon)?;
        let outer = self.variable.replace(variable);
        let condition = self.any_of()?;
        self.variable = outer;
        self.expect(&Token::Close)?;
        Ok(Condition::AnyTag(Box::new(condition)))
    }

    fn comparison(&mut self, name: &str) -> Result<Condition, FilterError> {
        let field = self.field(name)?;
        let operator = match self.tokens.next() {
            Some(Token::Word(operator)) => operator,
            other => return Err(unexpected(other, "eq, ne, gt, ge, lt, le or in")),
        };
        if operator != "in" {
            let Some(comparison) = Comparison::parse(operator) else {
                return Err(FilterError(format!("'{operator}' is not one of eq, ne, gt, ge, lt, le, in")));
            };
            return Ok(Condition::Compare(field, comparison, self.literal(field)?));
        }
        self.expect(&Token::Open)?;
        let mut literals = vec![self.literal(field)?];
        loop {
            match self.tokens.next() {
                Some(Token::Comma) => literals.push(self.literal(field)?),
                Some(Token::Close) => return Ok(Condition::In(field, literals)),
                other => return Err(unexpected(other, "',' or ')'")),
            }
        }
    }

    fn field(&self, name: &str) -> Result<Field, FilterError> {
        if self.variable == Some(name) {
            return Ok(Field::Tag);
        }
        Field::parse(name).ok_or_else(|| FilterError(format!("could not find a property named '{name}' on a machine")))
    }

    /// A literal of the kind that the field holds; null goes with every field.
    fn literal(&mut self, field: Field) -> Result<Literal, FilterError> {
        let token = self.tokens.next();
        let literal = match (field.kind(), &token) {
            (_, Some(Token::Word("null"))) => Some(Value::Null),
            (Kind::Text, Some(Token::Text(text))) => Some(Value::Text(text.clone().into())),
            (Kind::Number, Some(Token::Number(digits))) => digits.parse().ok().map(Value::Number),
            (Kind::Moment, Some(Token::Number(text))) => moment(text).map(Value::Moment),
            (Kind::Truth, Some(Token::Word("true"))) => Some(Value::Truth(true)),
            (Kind::Truth, Some(Token::Word("false"))) => Some(Value::Truth(false)),
            _ => None,
        };
        literal.ok_or_else(|| {
            unexpected(
                token,
                match field.kind() {
                    Kind::Text => "a text in single quotes",
                    Kind::Number => "a whole number",
                    Kind::Moment => "a moment such as 2024-01-31T08:00:00Z",
                    Kind::Truth => "true or false",
                },
            )
        })
    }

    fn expect(&mut self, expected: &Token<'text>) -> Result<(), FilterError> {
        match self.tokens.next() {
            Some(token) if token == *expected => Ok(()),
            other => Err(unexpected(other, &expected.to_string())),
        }
    }
}

fn unexpected(found: Option<Token<'_>>, wanted: &str) -> FilterError {
    FilterError(match found {
        Some(token) => format!("found {token} where {wanted} is expected"),
        None => format!("the expression ends where {wanted} is expected"),
    })
}

/// A moment, or a day in UTC; the documentation's own examples write `2018-08-01Z`.
fn moment(text: &str) -> Option<Timestamp> {
    let day = || text.trim_end_matches('Z').parse::<jiff::civil::Date>().ok();
    text.parse().ok().or_else(|| day()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|midnight| midnight.timestamp()))
}

#[cfg(test)]
mod tests;
