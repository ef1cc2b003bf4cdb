//! The collector: answers after a delay, and counts the spans.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, http::header, routing::post};
use prost::encoding::{decode_key, decode_varint};
use tokio::{net::TcpListener, runtime::Builder, time::sleep};

use crate::process::{closed, say};

pub(crate) fn run(delay: Duration) -> Result<(), Box<dyn Error>> {
    let spans = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&spans);
    let receive = move |body: Bytes| async move {
        counted.fetch_add(count(body), Ordering::Relaxed);
        if !delay.is_zero() {
            sleep(delay).await;
        }
        ([(header::CONTENT_TYPE, "application/x-protobuf")], "")
    };
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(listener.local_addr()?)?;
        // Without the limit that a service of strangers would want.
        let app = Router::new().route("/v1/traces", post(receive));
        let app = app.layer(axum::extract::DefaultBodyLimit::disable());
        tokio::select! {
            served = axum::serve(listener, app) => served?,
            () = closed() => {}
        }
        say(spans.load(Ordering::Relaxed))?;
        Ok(())
    })
}

/// How many spans the request has: field 2 of field 2 of field 1. To decode it all would take the
/// time that the others are to have.
fn count(request: Bytes) -> u64 {
    let in_scope = |scope| fields(scope, 2).len() as u64;
    let in_resource = |resource| fields(resource, 2).into_iter().map(in_scope).sum::<u64>();
    fields(request, 1).into_iter().map(in_resource).sum()
}

fn fields(mut message: Bytes, wanted: u32) -> Vec<Bytes> {
    let mut found = Vec::new();
    while let Ok((field, _)) = decode_key(&mut message) {
        // All fields at these levels are messages or texts.
        let length = decode_varint(&mut message).unwrap_or_default() as usize;
        let value = message.split_to(length.min(message.len()));
        if field == wanted {
            found.push(value);
        }
    }
    found
}
