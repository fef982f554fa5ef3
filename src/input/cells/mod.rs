//! What the cells of a row mean: which [`machine`], and what is to be done to it ([`check`]), with the tags of all rows beside
//! each other ([`tag_book`]). Where the cells stand is no matter here.

pub(super) mod check;
pub(super) mod machine;
pub(super) mod tag_book;
