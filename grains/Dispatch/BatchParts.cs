using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Dispatch;

// The answer to a batch can be many times as long as other messages. In one message it would keep everything behind it on the connection
// waiting, and a caller that waits for it in vain would have all of it sent again. So it goes in parts: the batch is answered with the
// first, the caller asks for each next one, and the whole answer is kept until the caller says that it has it.

/// <summary>Parts of the answer to a batch.</summary>
internal static class BatchParts
{
    /// <summary>A part ends with the reply that takes it beyond so many bytes; one reply has hardly more.</summary>
    private const long Bytes = IoctlLimits.MaxBufferBytes;

    /// <summary>Whether an answer is more than one part.</summary>
    public static bool IsLong(IoctlBatchReply reply) => WireSize.Of(reply) > Bytes;

    /// <summary>What a batch is answered: the first part, where its caller can ask for more.</summary>
    public static IoctlBatchReply First(IoctlBatchRequest request, IoctlBatchReply whole) => request.TakesParts && IsLong(whole) ? From(whole, 0) : whole;

    /// <summary>The part of an answer that begins with a reply: at least that one, where there is one.</summary>
    public static IoctlBatchReply From(IoctlBatchReply whole, int from)
    {
        var replies = whole.Replies;
        from = Math.Clamp(from, 0, replies.Length);
        var end = from;
        for (var bytes = 0L; end < replies.Length && bytes <= Bytes; end++)
        {
            bytes += WireSize.Of(replies[end]);
        }

        return new IoctlBatchReply { Replies = replies[from..end], Missing = replies.Length - end };
    }
}
