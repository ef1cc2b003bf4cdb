//! The screen: what several threads print, one after the other and without waiting for each other.

use std::{
    io::{self, Write},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How much text waits while one thread writes.
const MOST_TEXT: usize = 1 << 20;

/// An output that may be slow, closed or broken.
pub(super) struct Screen {
    queue: Mutex<Queue>,
    /// Told whenever the queue is empty and nobody writes.
    idle: Condvar,
    /// `None` once it is closed. Locked by the one that writes.
    out: Mutex<Option<Box<dyn Write + Send>>>,
}

#[derive(Default)]
struct Queue {
    text: String,
    left_out: usize,
    /// Whether somebody is at it, who will also write what comes now.
    written: bool,
}

impl Screen {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { queue: Mutex::default(), idle: Condvar::new(), out: Mutex::new(Some(out)) }
    }

    /// Prints `text`, or leaves it to the thread that is printing: also if that is this one, since
    /// what it prints to may make spans of its own.
    pub(super) fn print(&self, text: &str) {
        {
            let mut queue = lock(&self.queue);
            if queue.text.len() + text.len() > MOST_TEXT {
                queue.left_out += 1;
            } else {
                queue.text.push_str(text);
            }
            if mem::replace(&mut queue.written, true) {
                return;
            }
        }
        let mut out = lock(&self.out);
        while let Some(text) = self.next() {
            write(&mut out, &text);
        }
    }

    /// What to write next; nothing, and somebody else's turn, if all is written.
    fn next(&self) -> Option<String> {
        let mut queue = lock(&self.queue);
        let mut text = mem::take(&mut queue.text);
        let left_out = mem::take(&mut queue.left_out);
        if left_out > 0 {
            text.push_str(&format!("({left_out} trees were left out: the output is too slow)\n\n"));
        }
        if text.is_empty() {
            queue.written = false;
            self.idle.notify_all();
            return None;
        }
        Some(text)
    }

    /// Waits until all is written, for so long at most. Whether it is.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let queue = lock(&self.queue);
        let waited = self.idle.wait_timeout_while(queue, timeout, |queue| queue.written);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever read it may be gone, `head` for one, and a writer of the user's may do anything. None of
/// it may hurt the one whose span has ended.
fn write(out: &mut Option<Box<dyn Write + Send>>, text: &str) {
    let Some(writer) = out else {
        return;
    };
    let written = catch_unwind(AssertUnwindSafe(|| {
        writer.write_all(text.as_bytes()).and_then(|()| writer.flush())
    }));
    match written {
        Ok(Ok(())) => {}
        // A terminal that cannot keep up now may later.
        Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
        Ok(Err(_)) | Err(_) => *out = None,
    }
}
