using System.Runtime.InteropServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Devices;

// An access is one request to the context, for up to 64 ranges, and a copy in this process. What does not fit one request is cut. A fault that waits in a fault queue
// is asked about until it has a response; the access is then tried again, or given up.

/// <summary>A device's way to memory through the context that it is bound to.</summary>
/// <param name="device">The bound device.</param>
/// <param name="memory">The memory of the programs that use the context.</param>
/// <param name="fence">The fence of the context.</param>
/// <param name="time">The clock for waits; null for the system's.</param>
public sealed class ContextDmaPort(IommuDevice device, IDmaMemory memory, DmaFence fence, TimeProvider? time = null) : IDmaPort
{
    private const ulong PageBytes = 4096;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(32);

    private int _groups;

    /// <inheritdoc/>
    public ValueTask<DmaResult> ReadAsync(ReadOnlyMemory<DmaRange> ranges, Memory<byte> destination, uint pasid, CancellationToken cancellationToken)
        => RunAsync(new Access(ranges, destination, false, pasid), cancellationToken);

    /// <inheritdoc/>
    public ValueTask<DmaResult> WriteAsync(ReadOnlyMemory<DmaRange> ranges, ReadOnlyMemory<byte> source, uint pasid, CancellationToken cancellationToken)
        => RunAsync(new Access(ranges, MemoryMarshal.AsMemory(source), true, pasid), cancellationToken);

    private async ValueTask<DmaResult> RunAsync(Access access, CancellationToken cancellationToken)
    {
        try
        {
            var parts = new Stack<Access>(DmaParts.Of(access).Reverse());
            while (parts.TryPop(out var part))
            {
                var result = await RunPartAsync(part, cancellationToken);
                if (result.Errno == Errno.ENOMEM && DmaParts.TrySplit(part, PageBytes, out var first, out var second))
                {
                    parts.Push(second);
                    parts.Push(first);
                }
                else if (!result.IsDone)
                {
                    return result;
                }
            }

            return default;
        }
        catch (OperationCanceledException)
        {
            return new DmaResult(DmaStatus.Aborted);
        }
        catch (Exception exception) when (exception is IommufdTransportException or IommufdException)
        {
            return new DmaResult(DmaStatus.Unbound);
        }
    }

    private async ValueTask<DmaResult> RunPartAsync(Access part, CancellationToken cancellationToken)
    {
        while (true)
        {
            var group = (uint)Interlocked.Increment(ref _groups);
            DmaTranslation translation;
            int copied;
            using (fence.Enter())
            {
                translation = await device.TranslateAsync(part.Ranges, part.Write, part.Pasid, group, cancellationToken);
                copied = translation.Errno == Errno.None ? Copy(part, translation.Memory) : 0;
            }

            if (translation.Errno == Errno.None)
            {
                return copied == part.Buffer.Length ? default : await GoneAsync(part, (ulong)copied, cancellationToken);
            }

            if (!translation.IsReported || await ResponseAsync(group, part.Pasid, cancellationToken) != IommuPageResponseCode.Success)
            {
                return Refused(translation);
            }
        }
    }

    // The context has translated it, and so does not know that nothing was there.
    private async ValueTask<DmaResult> GoneAsync(Access part, ulong copied, CancellationToken cancellationToken)
    {
        var at = 0;
        for (; copied >= part.Ranges.Span[at].Length; at++)
        {
            copied -= part.Ranges.Span[at].Length;
        }

        var range = part.Ranges.Span[at];
        await device.ReportMemoryGoneAsync(new DmaRange(range.Iova + copied, range.Length - copied), part.Write, part.Pasid, cancellationToken);
        return new DmaResult(DmaStatus.Fault, Errno.EFAULT);
    }

    // A device that its context does not know any more is no fault of an access.
    private static DmaResult Refused(DmaTranslation translation)
        => translation.Errno is Errno.EBADF or Errno.EIO || translation.Diagnostic?.Reason is DiagnosticReason.ObjectNotFound or DiagnosticReason.ObjectOfOtherDriver or DiagnosticReason.ObjectOfOtherType
            ? new DmaResult(DmaStatus.Unbound)
            : new DmaResult(DmaStatus.Fault, translation.Errno);

    private async ValueTask<IommuPageResponseCode> ResponseAsync(uint group, uint pasid, CancellationToken cancellationToken)
    {
        for (var pause = FirstPause; ; pause = pause < LongestPause ? pause * 2 : pause)
        {
            if (await device.TakeFaultResponseAsync(group, pasid, cancellationToken) is { } response)
            {
                return response;
            }

            await Task.Delay(pause, time ?? TimeProvider.System, cancellationToken);
        }
    }

    // How many bytes the pieces had that were copied. What they lack, or have too much, is of no piece.
    private int Copy(Access part, IReadOnlyList<UserMemoryPiece> pieces)
    {
        var rest = part.Buffer.Span;
        foreach (var piece in pieces)
        {
            if (piece.Length > (ulong)rest.Length)
            {
                break;
            }

            var bytes = rest[..(int)piece.Length];
            if (!(part.Write ? memory.TryWrite(piece, 0, bytes) : memory.TryRead(piece, 0, bytes)))
            {
                break;
            }

            rest = rest[bytes.Length..];
        }

        return part.Buffer.Length - rest.Length;
    }
}
