//! Chunked storage for records: growing never moves or copies what is there.
//!
//! Records are named by their index. They are never dropped one by one: the cache recycles
//! indices through free lists of its own.

use std::ops::{Index, IndexMut};

/// Records in one chunk (a power of two: indexing is a shift and a mask). Memory of a chunk that was
/// never touched is address space only.
const CHUNK: usize = 4096;

/// A growing list in chunks.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    chunks: Vec<Vec<T>>,
    len: u32,
}

impl<T> Arena<T> {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Arena { chunks: Vec::new(), len: 0 }
    }

    /// Number of records.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Adds a record; returns its index.
    pub(crate) fn push(&mut self, value: T) -> u32 {
        if (self.len as usize).is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[self.len as usize / CHUNK].push(value);
        self.len += 1;
        self.len - 1
    }

    /// All records with their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.chunks.iter().flatten())
    }
}

impl<T> Index<u32> for Arena<T> {
    type Output = T;
    #[inline]
    fn index(&self, i: u32) -> &T {
        &self.chunks[i as usize / CHUNK][i as usize % CHUNK]
    }
}

impl<T> IndexMut<u32> for Arena<T> {
    #[inline]
    fn index_mut(&mut self, i: u32) -> &mut T {
        &mut self.chunks[i as usize / CHUNK][i as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_stay_valid_while_it_grows() {
        let mut a = Arena::new();
        for i in 0..3 * CHUNK as u32 + 1 {
            assert_eq!(a.push(i * 2), i);
        }
        assert_eq!(a.len() as usize, 3 * CHUNK + 1);
        assert!(a.iter().all(|(i, &v)| v == 2 * i && a[i] == v));
        a[5000] = 1;
        assert_eq!(a[5000], 1);
    }
}
