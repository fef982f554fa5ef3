//! What a filter asks: rows and their cells.

/// What stands in a column.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'r> {
    /// Nothing, and nobody knows what it would be: a field that the service does not show, a key that a list lacks.
    Lacking,
    /// A text; an empty one is there, and empty.
    Text(&'r str),
    /// A list that needs no reading.
    List(&'r [&'r str]),
}

/// Whatever has cells.
pub trait Row {
    /// The cell in a column, by the position that [`Columns`](super::Columns) gave for it.
    fn cell(&self, position: usize) -> Cell<'_>;
}

/// Texts, as in a record of a file; one that is left out at the end is empty.
impl<S: AsRef<str>> Row for [S] {
    fn cell(&self, position: usize) -> Cell<'_> {
        Cell::Text(self.get(position).map_or("", AsRef::as_ref))
    }
}
