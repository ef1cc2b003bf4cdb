//! The server's end of a connection.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A connection that acts can write to, and tear, while hyper has it, too.
#[derive(Clone)]
pub(super) struct Line(Arc<Mutex<Option<Box<dyn Io>>>>);

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&mut self) -> &mut TcpStream;
}

impl Io for TcpStream {
    fn tcp(&mut self) -> &mut TcpStream {
        self
    }
}

impl Io for TlsStream<TcpStream> {
    fn tcp(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

impl Line {
    pub(super) fn new(io: impl Io + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(io)))))
    }

    /// Whoever holds the line has no connection any more.
    pub(super) fn reset(&self) {
        if let Some(mut io) = self.0.lock().unwrap().take() {
            io.tcp().set_zero_linger().unwrap();
        }
    }

    /// Sends nothing any more, below TLS if there is one. What comes in can be read still.
    pub(super) fn cut(&self) {
        if let Some(io) = self.0.lock().unwrap().as_mut() {
            // TCP is never pending.
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(io.tcp()).poll_shutdown(&mut cx).is_ready());
        }
    }

    fn poll<T>(
        &self,
        poll: impl FnOnce(Pin<&mut dyn Io>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.0.lock().unwrap().as_mut() {
            Some(io) => poll(Pin::new(&mut **io)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(|io| io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(|io| io.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|io| io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|io| io.poll_shutdown(cx))
    }
}
