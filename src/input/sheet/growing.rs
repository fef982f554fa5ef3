//! Lists that may become long.

/// Makes room for one more in a list that may become long. It is moved whenever it grows, so a long one grows by more than it
/// would by itself; memory that is never touched costs nothing.
pub(in crate::input) fn make_room<Item>(list: &mut Vec<Item>) {
    const LONG: usize = 10_000;
    if list.len() == list.capacity() && list.len() >= LONG {
        list.reserve_exact(3 * list.len());
    }
}
