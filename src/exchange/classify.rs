//! What counts as a failure, in the words of a tower-http classifier.

use std::{fmt, sync::Arc};

use http::{HeaderMap, Request, Response};
use tower_http::classify::{ClassifiedResponse, ClassifyEos, ClassifyResponse, MakeClassifier};

use crate::{contained::contained, head::ResponseHead};

/// A classifier of any type.
#[derive(Clone)]
pub(crate) struct Classifier(Arc<dyn Make>);

/// One exchange's classification, from the head to the end of the stream.
pub(crate) trait Classification: Send + Sync {
    fn head(&mut self, response: &Response<()>);

    /// Whether the exchange has failed, now that it is complete.
    fn failed(&mut self, trailers: Option<&HeaderMap>) -> Option<bool>;
}

impl Classifier {
    pub(crate) fn new<M>(make: M) -> Self
    where
        M: MakeClassifier + Send + Sync + 'static,
        M::Classifier: Send + Sync + 'static,
        M::ClassifyEos: Send + Sync + 'static,
    {
        Self(Arc::new(make))
    }

    /// One that is asked for the head alone.
    pub(crate) fn by<F>(failed: F) -> Self
    where
        F: Fn(&ResponseHead<'_>) -> bool + Send + Sync + 'static,
    {
        Self(Arc::new(ByHead(Arc::new(failed))))
    }

    /// A classification of the exchange that `request` begins; none if the classifier panics.
    pub(crate) fn begin(&self, request: &Request<()>) -> Option<Box<dyn Classification>> {
        contained(|| self.0.begin(request))
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Classifier")
    }
}

trait Make: Send + Sync {
    fn begin(&self, request: &Request<()>) -> Box<dyn Classification>;
}

impl<M> Make for M
where
    M: MakeClassifier + Send + Sync,
    M::Classifier: Send + Sync + 'static,
    M::ClassifyEos: Send + Sync + 'static,
{
    fn begin(&self, request: &Request<()>) -> Box<dyn Classification> {
        Box::new(Stage::<M::Classifier>::Head(self.make_classifier(request)))
    }
}

struct ByHead<F>(Arc<F>);

impl<F> Make for ByHead<F>
where
    F: Fn(&ResponseHead<'_>) -> bool + Send + Sync + 'static,
{
    fn begin(&self, _: &Request<()>) -> Box<dyn Classification> {
        Box::new(OfHead { by: Arc::clone(&self.0), failed: None })
    }
}

struct OfHead<F> {
    by: Arc<F>,
    failed: Option<bool>,
}

impl<F> Classification for OfHead<F>
where
    F: Fn(&ResponseHead<'_>) -> bool + Send + Sync,
{
    fn head(&mut self, response: &Response<()>) {
        self.failed = Some((self.by)(&ResponseHead::new(response)));
    }

    fn failed(&mut self, _: Option<&HeaderMap>) -> Option<bool> {
        self.failed
    }
}

enum Stage<C: ClassifyResponse> {
    Head(C),
    End(C::ClassifyEos),
    Known(bool),
    /// There was no response to look at.
    Unknown,
}

impl<C> Classification for Stage<C>
where
    C: ClassifyResponse + Send + Sync,
    C::ClassifyEos: Send + Sync,
{
    fn head(&mut self, response: &Response<()>) {
        *self = match std::mem::replace(self, Self::Unknown) {
            Self::Head(classifier) => match classifier.classify_response(response) {
                ClassifiedResponse::Ready(result) => Self::Known(result.is_err()),
                ClassifiedResponse::RequiresEos(classifier) => Self::End(classifier),
            },
            later => later,
        };
    }

    fn failed(&mut self, trailers: Option<&HeaderMap>) -> Option<bool> {
        match std::mem::replace(self, Self::Unknown) {
            Self::Known(failed) => Some(failed),
            Self::End(classifier) => Some(classifier.classify_eos(trailers).is_err()),
            Self::Head(_) | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier, StatusInRangeAsFailures};

    use super::*;

    fn failed(
        classifier: &Classifier,
        response: &Response<()>,
        trailers: Option<&HeaderMap>,
    ) -> Option<bool> {
        let mut classification = classifier.begin(&Request::new(())).unwrap();
        classification.head(response);
        classification.failed(trailers)
    }

    #[test]
    fn the_head_or_the_trailers_say_whether_it_has_failed() {
        let servers = Classifier::new(ServerErrorsAsFailures::make_classifier());
        let clients =
            Classifier::new(StatusInRangeAsFailures::new(400..=599).into_make_classifier());
        let response = |status| Response::builder().status(status).body(()).unwrap();
        assert_eq!(failed(&servers, &response(404), None), Some(false));
        assert_eq!(failed(&servers, &response(500), None), Some(true));
        assert_eq!(failed(&clients, &response(404), None), Some(true));

        let grpc = tower_http::classify::GrpcErrorsAsFailures::new();
        let grpc = Classifier::new(SharedClassifier::new(grpc));
        let trailers = |code: &str| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", code.parse().unwrap());
            trailers
        };
        assert_eq!(failed(&grpc, &response(200), Some(&trailers("0"))), Some(false));
        assert_eq!(failed(&grpc, &response(200), Some(&trailers("13"))), Some(true));
    }

    #[test]
    fn without_a_response_nothing_is_known() {
        let classifier = Classifier::new(ServerErrorsAsFailures::make_classifier());
        assert_eq!(classifier.begin(&Request::new(())).unwrap().failed(None), None);
    }
}
