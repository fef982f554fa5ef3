//! Tests of whatever has an order: numbers, dates, truth values.

use std::cmp::Ordering;

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    /// The comparison that a sign stands for.
    pub(super) fn of(sign: &str) -> Option<Self> {
        Some(match sign {
            "==" => Self::Equal,
            "!=" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::Greater,
            ">=" => Self::AtLeast,
            _ => return None,
        })
    }

    /// The same with both sides exchanged.
    pub(super) const fn flipped(self) -> Self {
        match self {
            Self::Equal | Self::Unequal => self,
            Self::Less => Self::Greater,
            Self::AtMost => Self::AtLeast,
            Self::Greater => Self::Less,
            Self::AtLeast => Self::AtMost,
        }
    }

    /// Whether it asks for the order, and not only whether both are the same.
    pub(super) const fn is_of_order(self) -> bool {
        !matches!(self, Self::Equal | Self::Unequal)
    }

    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// Which values are taken.
#[derive(Clone, Debug)]
pub(super) enum Scale<T> {
    Compared(Comparison, T),
    Between { low: T, high: T, is_negated: bool },
    Among { sorted: Vec<T>, is_negated: bool },
}

impl<T: Ord> Scale<T> {
    pub(super) fn among(mut values: Vec<T>, is_negated: bool) -> Self {
        values.sort_unstable();
        Self::Among { sorted: values, is_negated }
    }

    pub(super) fn takes(&self, value: &T) -> bool {
        match self {
            Self::Compared(comparison, other) => comparison.holds(value.cmp(other)),
            Self::Between { low, high, is_negated } => (low <= value && value <= high) != *is_negated,
            Self::Among { sorted, is_negated } => sorted.binary_search(value).is_ok() != *is_negated,
        }
    }
}
