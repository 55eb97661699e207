using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

/// <summary>Leads what a program does with a file that an ioctl has opened to the object that the file leads to.</summary>
internal static class FileDispatcher
{
    /// <summary>Reads or writes a file.</summary>
    /// <returns>EBADF for a file that leads to no object of this context.</returns>
    public static ValueTask<FileReply> DispatchAsync(IoctlScope scope, FileTarget target, FileRequest request)
        => Find(scope, target) is { } entry
            ? GrainKind.Of(entry).FileAsync(scope, entry, request)
            : ValueTask.FromResult(new FileReply(Errno.EBADF, Diagnostic: Failure.Because(DiagnosticReason.FileLeadsNowhere)));

    /// <summary>Says what can be done with a file. Interleaves with a running turn.</summary>
    /// <returns>EBADF for a file that leads to no object of this context.</returns>
    public static ValueTask<PollReply> PollAsync(IoctlScope scope, FileTarget target, TimeSpan wait)
        => Find(scope, target) is { } entry ? GrainKind.Of(entry).PollAsync(scope, entry, wait) : ValueTask.FromResult(new PollReply(Errno.EBADF));

    /// <summary>Whether a read or a write has changed the context, given its answer.</summary>
    public static bool Changes(FileReply reply) => reply.Count > 0;

    // A client may send any target: all of it must be as the context has it.
    private static ObjectEntry? Find(IoctlScope scope, FileTarget? target)
        => target is not null
            && target.Context == scope.Grains.Key
            && scope.Context.FindDriver(target.Reference) is { } reference
            && scope.Context.Objects.Find(target.Id.Value, target.Type) is { Type: var type } entry
            && type == target.Type
            && reference.Held().Any(hold => hold.Target == entry && hold.Id == default)
            ? entry
            : null;
}
