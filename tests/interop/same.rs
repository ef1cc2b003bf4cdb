//! Whether two messages are the same, and if not, what differs.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// Compares what has arrived with what was sent.
pub(crate) fn assert_same(sent: &ExportTraceServiceRequest, arrived: &[u8]) {
    let decoded = ExportTraceServiceRequest::decode(arrived).unwrap();
    for (sent, arrived) in sent.resource_spans.iter().zip(&decoded.resource_spans) {
        assert_eq!(sent.resource, arrived.resource);
        for (sent, arrived) in sent.scope_spans.iter().zip(&arrived.scope_spans) {
            assert_eq!(sent.scope, arrived.scope);
            // One at a time: a message as a whole is too long to look for what differs.
            for (sent, arrived) in sent.spans.iter().zip(&arrived.spans) {
                assert_eq!(sent, arrived);
            }
        }
    }
    assert_eq!(*sent, decoded);
    // What a decoder does not know it leaves out, so a message alone does not say it all.
    assert!(sent.encode_to_vec() == arrived, "the message is the same, its bytes are not");
}
