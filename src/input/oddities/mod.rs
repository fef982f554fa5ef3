//! What programs and people leave in a cell that nobody means: characters that are not seen ([`unicode`]), errors and words
//! for nothing ([`placeholders`]), what stands around a machine's name ([`decoration`]), and what makes a tag odd
//! ([`tag_oddity`]).

pub(super) mod decoration;
pub(super) mod placeholders;
pub(super) mod tag_oddity;
pub(super) mod unicode;
