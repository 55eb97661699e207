using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>How large requests and answers are, about: what grows with what a caller asks, and a flat sum for the rest.</summary>
internal static class WireSize
{
    /// <summary>What each part of a message takes beside its bytes and texts.</summary>
    public const int Flat = 64;

    // UTF-8 takes at most so many bytes for a char.
    private const int MostBytesOfChar = 3;

    public static long Of(IoctlRequest? request)
    {
        var bytes = Flat + (long)(request?.Argument?.Length ?? 0) + Of(request?.File?.Identity);
        foreach (var buffer in request?.Buffers ?? [])
        {
            bytes += Flat + (buffer?.Content?.Length ?? 0) + Of(buffer?.Mapping?.File?.Identity);
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

    /// <summary>The most that the answers to ioctls can be, as far as it follows from what they ask: their arguments, and what they write to their buffers.</summary>
    public static long MostAnswered(IoctlRequest[] requests)
    {
        var bytes = 0L;
        foreach (var request in requests)
        {
            bytes += MostAnswered(request);
        }

        return bytes;
    }

    public static long Of(DriverRequest? request) => Flat + request switch
    {
        BindDeviceRequest { Device: { } device } => Of(device),
        ReportFaultsRequest faults => Flat * (long)(faults.Faults?.Length ?? 0),
        TranslateRequest translate => Flat * (long)(translate.Ranges?.Length ?? 0),
        ReportEventRequest reported => reported.Data?.Length ?? 0,
        HoldObjectRequest hold => Of(hold.Why),
        RevokeDmaBufRequest revoke => Of(revoke.Identity),
        _ => 0,
    };

    public static long Of(DeviceDescription device)
        => Flat + Of(device.Name) + Of(device.Iommu) + Of(device.Group) + (Flat * (long)(device.ReservedRegions?.Length ?? 0));

    /// <summary>The size of an answer that is kept.</summary>
    public static long Of(object answer) => answer switch
    {
        IoctlReply reply => Of(reply),
        IoctlBatchReply batch => Flat + batch.Replies.Sum(Of),
        DriverReply driver => Flat + (Flat * (long)(driver.Memory?.Length ?? 0)) + Of(driver.Diagnostic),
        FileReply file => Flat + (file.Data?.Length ?? 0),
        _ => Flat,
    };

    /// <summary>The size of an ioctl's answer.</summary>
    public static long Of(IoctlReply reply)
        => Flat + (reply.Argument?.Length ?? 0) + (reply.Buffers?.Sum(buffer => (long)Flat + buffer.Content.Length) ?? 0) + (Flat * (long)(reply.Copy?.Memory.Length ?? 0)) + Of(reply.Diagnostic);

    /// <summary>The size of a diagnostic: its holders.</summary>
    public static long Of(IoctlDiagnostic? diagnostic) => diagnostic is null ? 0 : Flat + Of(diagnostic.Holders);

    public static long Of(Holder[] holders)
    {
        var bytes = 0L;
        foreach (var holder in holders)
        {
            bytes += Flat + Of(holder.Why);
        }

        return bytes;
    }

    /// <summary>The size of an object in a page.</summary>
    public static long Of(ObjectInspection shown) => Flat + Of(shown.Name) + Of(shown.Summary) + Of(shown.Holders) + shown.State switch
    {
        DeviceState device => Flat + Of(device.Device) + Of(device.Driver),
        AccessState access => Flat + Of(access.Driver),
        IoasState ioas => Flat + (Flat * (long)(ioas.Allowed.Length + ioas.Reserved.Length)) + ioas.Areas.Sum(area => Flat + Of(area.File?.Identity)),
        _ => Flat,
    };

    /// <summary>The size of an ioctl in a tail.</summary>
    public static long Of(RecordedIoctl ioctl) => Flat + ioctl.Argument.Length + ioctl.Answer.Length + Of(ioctl.Diagnostic);

    public static long Of(string? text) => (long)MostBytesOfChar * (text?.Length ?? 0);

    /// <summary>The most that the answer to an ioctl can be.</summary>
    public static long MostAnswered(IoctlRequest? request)
    {
        var bytes = Flat + (long)(request?.Argument?.Length ?? 0);
        if (request?.Argument is { } argument && IoctlTable.Find(request.Command) is { } descriptor)
        {
            foreach (var buffer in descriptor.AnsweredBuffers)
            {
                bytes += buffer.Answer switch
                {
                    UserBufferAnswer.Bytes => Flat + (long)Math.Min(buffer.LengthIn(argument), IoctlLimits.MaxBufferBytes),

                    // A piece of memory has at least a byte.
                    _ => Flat * (long)Math.Min(buffer.LengthIn(argument), IoctlLimits.MaxAccessPieces),
                };
            }
        }

        return bytes;
    }
}
