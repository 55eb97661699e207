using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Journaling;

/// <summary>Frames of a time when a journal's key was its context's handle, for stores that bring their tables up to date.</summary>
public static class EarlierFrame
{
    /// <summary>The frame that stands for an earlier one in the journal of the handle's key.</summary>
    /// <param name="handle">The handle.</param>
    /// <param name="position">The frame's position.</param>
    /// <param name="frame">The frame.</param>
    /// <returns>The frame; a damaged one as it is, so that it reads as damage.</returns>
    public static byte[] ToKey(ContextHandle handle, long position, byte[] frame)
        => JournalFrame.TryDecode(handle.Value, position, frame, out var content) ? JournalFrame.Encode(handle.Key.Value, position, content.Span) : frame;
}
