//! Images → episodes. Knows [`crate::config`], never `burn`.
