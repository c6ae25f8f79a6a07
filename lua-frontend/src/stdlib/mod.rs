//! The standard libraries.

use crate::api::Cx;

/// Opens all libraries.
pub fn open(_cx: Cx) {}
