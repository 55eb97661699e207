using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Journaling;

/// <summary>Compares two replies as far as they are a contract. Diagnostics are for people and are ignored.</summary>
internal static class ReplyComparer
{
    public static bool Agree(ReferenceReply one, ReferenceReply other) => (one.Errno, one.Reference, one.Mode) == (other.Errno, other.Reference, other.Mode);

    public static bool Agree(IoctlReply one, IoctlReply other)
        => (one.Errno, one.ReturnValue) == (other.Errno, other.ReturnValue)
            && Agree(one.Argument, other.Argument)
            && Agree(one.Buffers, other.Buffers, static (a, b) => (a.Address, a.IsOr, a.ZeroBytes) == (b.Address, b.IsOr, b.ZeroBytes) && Agree(a.Content, b.Content))
            && one.File == other.File
            && (one.Copy?.Buffer, one.Copy?.IsWrite) == (other.Copy?.Buffer, other.Copy?.IsWrite)
            && Agree(one.Copy?.Memory, other.Copy?.Memory, static (a, b) => a == b);

    public static bool Agree(IoctlBatchReply one, IoctlBatchReply other) => one.Errno == other.Errno && Agree(one.Replies, other.Replies, Agree);

    public static bool Agree(DriverReply one, DriverReply other)
        => (one.Errno, one.Id, one.Pin, one.Hold) == (other.Errno, other.Id, other.Pin, other.Hold) && Agree(one.Memory, other.Memory, static (a, b) => a == b);

    public static bool Agree(FileReply one, FileReply other) => (one.Errno, one.Count) == (other.Errno, other.Count) && Agree(one.Data, other.Data);

    private static bool Agree(byte[]? one, byte[]? other) => one is null ? other is null : other is not null && one.AsSpan().SequenceEqual(other);

    private static bool Agree<T>(T[]? one, T[]? other, Func<T, T, bool> agree)
        => one is null ? other is null : other?.Length == one.Length && one.Zip(other).All(pair => agree(pair.First, pair.Second));
}
