//! Tags that are made of what is known of a machine: `DEPT-{cmdb.Department}`.

use crate::filter::{Cell, Column, ColumnKind, ColumnName, Columns, Lookup, Row, unknown_column};
use crate::input::TagOddity;
use crate::model::Tag;

/// A text with holes.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Hole(ColumnName),
}

/// A template whose names have their columns.
#[derive(Clone, Debug)]
pub(super) struct BoundTemplate {
    pieces: Vec<BoundPiece>,
}

#[derive(Clone, Debug)]
enum BoundPiece {
    Text(String),
    Hole(ColumnName, usize),
}

/// What came of filling a template.
pub(super) enum Filled {
    Tag(Tag),
    /// A hole has nothing to be filled with.
    Lacking,
    /// No tag to create: its text, and why not, to be read after "the tag … ".
    Odd(String, String),
}

impl Template {
    /// Understands a text; `None` when it has no hole.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        if !text.contains(['{', '}']) {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, opened)) = rest.split_once('{') {
            let Some((name, after)) = opened.split_once('}') else {
                return Err("a \"{\" is not closed".to_owned());
            };
            if before.contains('}') || name.contains('{') {
                return Err("its braces do not match".to_owned());
            }
            let (qualifier, name) = match name.split_once('.') {
                Some((qualifier, name)) => (Some(qualifier.trim().to_owned()), name.trim()),
                None => (None, name.trim()),
            };
            if name.is_empty() {
                return Err("braces without a name stand in it".to_owned());
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Hole(ColumnName { qualifier, name: name.to_owned() }));
            rest = after;
        }
        if rest.contains('}') {
            return Err("its braces do not match".to_owned());
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Some(Self { pieces }))
    }

    /// What all its tags begin with.
    pub(super) fn prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Finds the columns of its names.
    pub(super) fn bind(&self, columns: &dyn Columns) -> Result<BoundTemplate, String> {
        let bound = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => Ok(BoundPiece::Text(text.clone())),
            Piece::Hole(name) => match columns.find(name) {
                Lookup::Found(Column { kind: ColumnKind::List(_), .. }) => {
                    Err(format!("{name} is a list, and a tag needs a single text"))
                }
                Lookup::Found(Column { position, .. }) => Ok(BoundPiece::Hole(name.clone(), position)),
                Lookup::Ambiguous(_) => Err(format!("{name} can be any of several columns")),
                Lookup::Unknown => {
                    let (why, hint) = unknown_column(name, columns);
                    Err(format!("{why}; {hint}"))
                }
            },
        });
        Ok(BoundTemplate { pieces: bound.collect::<Result<_, _>>()? })
    }
}

impl BoundTemplate {
    /// The columns of its holes.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.pieces
            .iter()
            .filter_map(|piece| if let BoundPiece::Hole(_, column) = piece { Some(*column) } else { None })
    }

    /// The names of its holes for which a machine has nothing, as one writes them, with their places.
    pub(super) fn lacking(&self, row: &impl Row) -> Vec<(String, usize)> {
        let holes = self.pieces.iter().filter_map(|piece| match piece {
            BoundPiece::Hole(name, column) if matches!(row.cell(*column), Cell::Lacking) => {
                Some((name.written(), *column))
            }
            _ => None,
        });
        holes.collect()
    }

    /// The tag of a machine.
    pub(super) fn fill(&self, row: &impl Row) -> Filled {
        let mut text = String::new();
        let mut is_empty = false;
        let mut odd_cell = None;
        for piece in &self.pieces {
            match piece {
                BoundPiece::Text(piece) => text.push_str(piece),
                BoundPiece::Hole(_, column) => match row.cell(*column) {
                    Cell::Text(cell) => {
                        is_empty |= cell.trim().is_empty();
                        odd_cell = odd_cell.or_else(|| TagOddity::of(cell.trim()).filter(|it| is_odd_in_a_cell(*it)));
                        text.push_str(cell.trim());
                    }
                    Cell::Lacking | Cell::List(_) => return Filled::Lacking,
                },
            }
        }
        if is_empty {
            return Filled::Odd(text, "would be made of an empty cell".to_owned());
        }
        if let Some(oddity) = odd_cell {
            return Filled::Odd(text, format!("would be made of a cell that {}", oddity.words()));
        }
        let tag = match Tag::addable(text.trim()) {
            Ok(tag) => tag,
            Err(error) => return Filled::Odd(text, format!("cannot be one: {error}")),
        };
        match TagOddity::of(tag.as_str()) {
            Some(oddity) => Filled::Odd(text, oddity.words()),
            None => Filled::Tag(tag),
        }
    }
}

/// Whether a cell is odd also where it is but a part of a tag.
const fn is_odd_in_a_cell(oddity: TagOddity) -> bool {
    matches!(oddity, TagOddity::SpreadsheetError | TagOddity::Nothing | TagOddity::Quotes | TagOddity::Brackets)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneCell(&'static str);

    impl Row for OneCell {
        fn cell(&self, _column: usize) -> Cell<'_> {
            Cell::Text(self.0)
        }
    }

    #[test]
    fn what_is_no_text_in_a_cell_is_no_part_of_a_tag() {
        let hole = BoundPiece::Hole(ColumnName { qualifier: None, name: "x".to_owned() }, 0);
        let template = BoundTemplate { pieces: vec![BoundPiece::Text("DEPT-".to_owned()), hole] };
        for cell in [
            "#N/A",
            "NULL",
            " nan ",
            "'IT",
            "",
            "a;b",
            "a\u{200b}",
            "[IT]",
            "{IT}",
            "(IT)",
            "[\"IT\"]",
            "[\"I [T]\"]",
            "(\"IT\")",
            "['IT']",
            "{\"a\":\"IT\"}",
            "IT]",
        ] {
            assert!(matches!(template.fill(&OneCell(cell)), Filled::Odd(..)), "{cell}");
        }
        for cell in ["IT", "R&D", "Sales (EMEA)", "7"] {
            assert!(
                matches!(template.fill(&OneCell(cell)), Filled::Tag(tag) if tag.as_str() == format!("DEPT-{cell}"))
            );
        }
    }
}
