//! Values that are kept for longer than what they stand in, what they are kept for, and how values go to a server and come
//! from it.

use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::{Column, Parameter, Value};

/// Each value with its type, so that nobody has to ask the server for it.
pub(super) fn typed<'a>(values: &'a [Value<'a>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let type_of = |value: &Value<'_>| match value {
        // To be found out from where it stands.
        Value::Null => Type::UNKNOWN,
        Value::Integer(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT8,
        Value::Text(_) => Type::TEXT,
        Value::Blob(_) => Type::BYTEA,
    };
    values.iter().map(|value| (value as &(dyn ToSql + Sync), type_of(value))).collect()
}

/// The type of a list of such values.
pub(super) const fn list_of(value: &Kept) -> Type {
    match value {
        Kept::Null | Kept::Integer(_) => Type::INT8_ARRAY,
        Kept::Real(_) => Type::FLOAT8_ARRAY,
        Kept::Text(_) => Type::TEXT_ARRAY,
        Kept::Blob(_) => Type::BYTEA_ARRAY,
    }
}

/// A value of any kind that is kept.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Kept {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Column for Kept {
    fn read(value: Value<'_>) -> Option<Self> {
        Some(Self::of(value))
    }
}

impl Parameter for Kept {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(*number),
            Self::Real(number) => Value::Real(*number),
            Self::Text(text) => Value::Text(text),
            Self::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl Kept {
    /// The value, to be kept for longer than what it stands in.
    pub(super) fn of(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Real(number) => Self::Real(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match *self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql(of, out),
            Self::Real(number) => number.to_sql(of, out),
            // No text there holds a NUL; nothing that is compared does either.
            Self::Text(text) if text.contains('\0') => text.replace('\0', "").to_sql(of, out),
            Self::Text(text) => text.to_sql(of, out),
            Self::Blob(bytes) => bytes.to_sql(of, out),
        }
    }

    fn accepts(_of: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *of {
            Type::BOOL => Self::Integer(bool::from_sql(of, raw)?.into()),
            Type::INT2 => Self::Integer(i16::from_sql(of, raw)?.into()),
            Type::INT4 => Self::Integer(i32::from_sql(of, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(of, raw)?),
            Type::FLOAT8 => Self::Real(f64::from_sql(of, raw)?),
            Type::BYTEA => Self::Blob(raw),
            _ => Self::Text(<&str>::from_sql(of, raw)?),
        })
    }

    fn from_sql_null(_of: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(of: &Type) -> bool {
        matches!(*of, Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT8 | Type::BYTEA)
            || <&str as FromSql>::accepts(of)
    }
}

/// A question that was asked ahead, and its answer once it is there.
pub(super) struct Foreseen {
    pub(super) sql: Arc<str>,
    pub(super) values: Vec<Kept>,
    pub(super) rows: Arc<OnceLock<Vec<tokio_postgres::Row>>>,
}

impl Foreseen {
    pub(super) fn is_of(&self, sql: &str, values: &[Kept]) -> bool {
        *self.sql == *sql && self.values == values
    }
}

/// The numbers that a statement gives, once it was carried out.
pub(in crate::store) type Numbers = Arc<OnceLock<Vec<i64>>>;

/// Rows that a statement takes together, list by list.
pub(super) struct Gathered {
    pub(super) sql: &'static str,
    pub(super) lists: &'static [Type],
    pub(super) values: Vec<Vec<Kept>>,
    pub(super) numbers: Numbers,
}
