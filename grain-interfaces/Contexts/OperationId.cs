namespace IommuFd.GrainInterfaces;

/// <summary>
/// Names one request of one file or driver, so that it runs once however often it is sent. A request without a name (the default) runs each
/// time.
/// </summary>
/// <param name="Session">The file or driver: a random number other than 0, chosen when it asks for its reference. A request of a session
/// without a reference is EBADF.</param>
/// <param name="Sequence">The request's number in its session: 1 for the first, and 1 more for each next.</param>
/// <param name="Settled">Every request up to this number was answered or given up. Their replies are no longer kept, and a late arrival
/// among them is refused.</param>
/// <param name="IsRepeat">Whether it was sent before. The reply to a repeat is kept even if it changes nothing.</param>
/// <param name="Lane">
/// Which of the session's sequences the numbers are of: a file that several threads or processes have can't number their requests together. 0, or a random
/// number that a thread chooses. Of the others than 0 a session keeps <see cref="IoctlLimits.MaxLanes"/>, those last used.
/// </param>
[GenerateSerializer, Immutable, Alias("IommuFd.OperationId")]
public readonly record struct OperationId(
    [property: Id(0)] long Session, [property: Id(1)] long Sequence, [property: Id(2)] long Settled, [property: Id(3)] bool IsRepeat = false,
    [property: Id(4)] long Lane = 0);
