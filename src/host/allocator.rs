//! The module's memory, which a VM's one thread has for itself.
//!
//! A request takes and gives back dozens of small pieces of few sizes. Each [size class](crate::size_class)
//! keeps those that are free in a list, so that to take one is to load its successor: 4,000 to 7,000
//! instructions less for a sampled request than by the general allocator, which has what is larger. Small
//! pieces are cut from blocks, and stay small.
#![allow(unsafe_code)]

use crate::size_class::{self, COUNT};
use core::cell::UnsafeCell;
use core::ptr::{copy_nonoverlapping, null_mut};
use std::alloc::{GlobalAlloc, Layout, System};

#[global_allocator]
static MEMORY: Memory =
    Memory(UnsafeCell::new(Pieces { free: [null_mut(); COUNT], next: null_mut(), left: 0 }));

/// Bytes of a block, and how pieces are aligned, which is as much as any type of ours asks for.
const BLOCK: usize = 16 * 1024;
const ALIGN: usize = 16;

struct Memory(UnsafeCell<Pieces>);

struct Pieces {
    /// Of each class the first free piece, which begins with where the next is.
    free: [*mut Piece; COUNT],
    /// The block that is being cut up, from where on, and how much of it is left.
    next: *mut u8,
    left: usize,
}

struct Piece {
    next: *mut Piece,
}

// SAFETY: a VM has one thread.
unsafe impl Sync for Memory {}

/// The class of a layout; nothing for what the general allocator has.
fn class(layout: Layout) -> Option<usize> {
    size_class::of(layout.size()).filter(|_| layout.align() <= ALIGN)
}

impl Pieces {
    /// A piece that was free, or a new one. Null where Envoy gives no more memory.
    fn take(&mut self, class: usize) -> *mut u8 {
        let Some(first) = self.free.get_mut(class) else { return null_mut() };
        if !first.is_null() {
            let piece = *first;
            // SAFETY: what is in the list was given back, whole, and nobody else has it.
            *first = unsafe { (*piece).next };
            return piece.cast();
        }
        self.cut(size_class::bytes(class))
    }

    /// A new piece.
    #[cold]
    fn cut(&mut self, bytes: usize) -> *mut u8 {
        if bytes > self.left {
            // SAFETY: the layout's size is not zero.
            let block = unsafe { System.alloc(Layout::new::<Block>()) };
            if block.is_null() {
                return null_mut();
            }
            (self.next, self.left) = (block, BLOCK);
        }
        let piece = self.next;
        self.left -= bytes;
        // SAFETY: the block has that many bytes left.
        self.next = unsafe { piece.add(bytes) };
        piece
    }

    fn give_back(&mut self, pointer: *mut u8, class: usize) {
        let Some(first) = self.free.get_mut(class) else { return };
        let piece: *mut Piece = pointer.cast();
        // SAFETY: a piece has room for a pointer, is aligned for one, and its owner has done with it.
        unsafe { (*piece).next = *first };
        *first = piece;
    }
}

#[repr(align(16))]
struct Block(#[allow(dead_code)] [u8; BLOCK]);

// SAFETY: pieces do not overlap, are at least as large and as aligned as asked for, and a layout tells
// whose its memory is.
unsafe impl GlobalAlloc for Memory {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            // SAFETY: there is one thread, and nothing in here allocates.
            Some(class) => unsafe { &mut *self.0.get() }.take(class),
            // SAFETY: the caller's.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match class(layout) {
            // SAFETY: as above.
            Some(class) => unsafe { &mut *self.0.get() }.give_back(pointer, class),
            // SAFETY: the caller's.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's: such a layout is valid.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            (Some(old), Some(new)) if old == new => return pointer,
            // SAFETY: the caller's.
            (None, None) => return unsafe { System.realloc(pointer, layout, size) },
            _ => {}
        }
        // SAFETY: both pieces have as many bytes as are copied, and the old one is given back once.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                copy_nonoverlapping(pointer, new, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            new
        }
    }
}
