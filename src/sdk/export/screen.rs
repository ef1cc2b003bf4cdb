//! The screen: what several threads print, one after the other and without waiting for each other.

use std::{
    io::{self, Write},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

/// How much text waits while one thread writes.
const MOST_TEXT: usize = 1 << 20;

/// An output that may be slow, closed or broken.
pub(super) struct Screen {
    queue: Mutex<Queue>,
    /// Told whenever more has been written.
    progress: Condvar,
    /// `None` once it is closed. Locked by the thread that writes.
    out: Mutex<Option<Box<dyn Write + Send>>>,
}

#[derive(Default)]
struct Queue {
    text: String,
    /// How many trees the text has, and how many are in none.
    trees: usize,
    left_out: usize,
    /// The thread that is at it, and will also write what comes meanwhile.
    writer: Option<ThreadId>,
    /// How much was ever printed, and how much of it has been seen to.
    printed: u64,
    done: u64,
}

struct Next {
    text: String,
    /// How many trees are missing if this is lost.
    trees: usize,
    /// How much was printed when it was taken.
    printed: u64,
}

impl Screen {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { queue: Mutex::default(), progress: Condvar::new(), out: Mutex::new(Some(out)) }
    }

    /// Prints `text`, or leaves it to the thread that is printing.
    pub(super) fn print(&self, text: &str) {
        {
            let mut queue = lock(&self.queue);
            let this = thread::current().id();
            if queue.writer == Some(this) {
                // The output makes spans of its own. To print those would make more of them.
                return;
            }
            queue.printed += 1;
            // Only what has to wait can be too much.
            if queue.text.is_empty() || queue.text.len() + text.len() <= MOST_TEXT {
                queue.text.push_str(text);
                queue.trees += 1;
            } else {
                queue.left_out += 1;
            }
            if queue.writer.is_some() {
                return;
            }
            queue.writer = Some(this);
        }
        let mut out = lock(&self.out);
        while let Some(next) = self.next() {
            let written = write(&mut out, &next.text);
            let mut queue = lock(&self.queue);
            queue.done = next.printed;
            if !written {
                queue.left_out += next.trees;
            }
            self.progress.notify_all();
        }
    }

    /// What to write next; nothing, and somebody else's turn, if all is written. That something was
    /// left out is said with the next text there is, and not by itself: an output that takes none
    /// would be asked again and again.
    fn next(&self) -> Option<Next> {
        let mut queue = lock(&self.queue);
        if queue.text.is_empty() {
            queue.writer = None;
            return None;
        }
        let mut text = mem::take(&mut queue.text);
        let left_out = mem::take(&mut queue.left_out);
        if left_out > 0 {
            text.push_str(&format!(
                "({left_out} more were left out: the output is too slow or full)\n\n"
            ));
        }
        let trees = mem::take(&mut queue.trees) + left_out;
        Some(Next { text, trees, printed: queue.printed })
    }

    /// Waits until all that was printed before is written, for so long at most. Whether it is.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let queue = lock(&self.queue);
        let printed = queue.printed;
        let waited = self.progress.wait_timeout_while(queue, timeout, |queue| queue.done < printed);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn passes(error: io::ErrorKind) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull, WouldBlock};
    matches!(error, QuotaExceeded | StorageFull | WouldBlock)
}

/// Writes, if there is still something to write to; false if the text is lost for now.
///
/// Whoever read it may be gone, `head` for one, and a writer of the user's may do anything. None of
/// it may hurt the one whose span has ended.
fn write(out: &mut Option<Box<dyn Write + Send>>, text: &str) -> bool {
    let Some(writer) = out else {
        return true;
    };
    let written = catch_unwind(AssertUnwindSafe(|| {
        writer.write_all(text.as_bytes()).and_then(|()| writer.flush())
    }));
    match written {
        Ok(Ok(())) => true,
        // A terminal that cannot keep up now may later, and a disk that is full may be made room on.
        Ok(Err(error)) if passes(error.kind()) => false,
        Ok(Err(_)) | Err(_) => {
            let closed = out.take();
            // Even to let go of it may be more than it can bear; the hook has said so.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(closed)));
            true
        }
    }
}
