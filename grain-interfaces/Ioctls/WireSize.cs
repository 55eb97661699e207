namespace IommuFd.GrainInterfaces;

/// <summary>How large requests and answers are, about: what grows with what a caller asks, and a flat sum for the rest.</summary>
internal static class WireSize
{
    private const int Flat = 64;

    public static long Of(IoctlRequest? request)
    {
        var bytes = Flat + (long)(request?.Argument?.Length ?? 0);
        foreach (var buffer in request?.Buffers ?? [])
        {
            bytes += Flat + (buffer?.Content?.Length ?? 0);
        }

        return bytes;
    }

    public static long Of(IoctlRequest[] requests)
    {
        var bytes = 0L;
        foreach (var request in requests)
        {
            bytes += Of(request);
        }

        return bytes;
    }

    /// <summary>The size of an answer that is kept.</summary>
    public static long Of(object answer) => answer switch
    {
        IoctlReply reply => Of(reply),
        IoctlBatchReply batch => Flat + batch.Replies.Sum(Of),
        DriverReply driver => Flat + (Flat * (long)(driver.Memory?.Length ?? 0)),
        FileReply file => Flat + (file.Data?.Length ?? 0),
        _ => Flat,
    };

    private static long Of(IoctlReply reply)
        => Flat + (reply.Argument?.Length ?? 0) + (reply.Buffers?.Sum(buffer => (long)Flat + buffer.Content.Length) ?? 0) + (Flat * (long)(reply.Copy?.Memory.Length ?? 0));
}
