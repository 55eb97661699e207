using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

// How the objects of a kind are reached and ended. An object's grain is its aggregate's: what must change in one step is one grain. So a
// HWPT and an access are parts of their IOAS's grain, which answers for them.

/// <summary>A kind of object with its grain.</summary>
internal abstract class GrainKind : ObjectKind
{
    /// <summary>The grain of an object by its key; null for kinds whose objects have none of their own.</summary>
    public virtual IObjectGrain? FindGrain(IGrainFactory factory, string key) => null;

    /// <summary>An object's grain without an activation, which its context keeps while it is small; null for kinds whose grains have work of their own, such as waiting.</summary>
    public virtual IObjectGrain? NewKept(ObjectId id) => null;

    /// <summary>The object whose grain answers for this one: itself, or its aggregate; null where none does.</summary>
    public virtual ObjectEntry? AggregateOf(ObjectEntry entry) => entry;

    /// <summary>What an object's grain is built of; null where an empty model will do.</summary>
    public virtual ObjectBuild? BuildOf(ObjectEntry entry) => null;

    /// <summary>Adds what the context knows to the state that the grain told.</summary>
    public virtual ObjectState Complete(ObjectEntry entry, ObjectState state) => state;

    /// <summary>
    /// What else ends with an object that is free to go (the kernel's <c>destroy</c>): after its grain has agreed, and before it leaves
    /// the table. It can't fail.
    /// </summary>
    public virtual ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry) => ValueTask.CompletedTask;

    /// <summary>Ends an object that a driver made, because its driver is gone.</summary>
    public virtual ValueTask EndForDriverAsync(IoctlScope scope, ObjectEntry entry)
        => throw new InvalidOperationException($"No driver makes a {Type.Label()}.");

    /// <summary>Tells the grain of a restored object which holds on it and its parts stand in the table, where its own state does not show them.</summary>
    public virtual ValueTask RestoreHoldersAsync(IoctlScope scope, ObjectEntry entry) => ValueTask.CompletedTask;

    /// <summary>
    /// Whether an object's hold on an object of this kind was told to its grain by <see cref="ObjectGrains.HoldAsync"/>, because the grain's
    /// own state does not show it.
    /// </summary>
    /// <param name="entry">The object of this kind.</param>
    /// <param name="holder">The object that holds it.</param>
    public virtual bool IsToldOf(ObjectEntry entry, ObjectEntry holder) => !entry.IsLeaf && AggregateOf(entry) != Of(holder).AggregateOf(holder);

    /// <summary>Reads or writes the file that leads to an object.</summary>
    public virtual ValueTask<FileReply> FileAsync(IoctlScope scope, ObjectEntry entry, FileRequest request)
        => ValueTask.FromResult(new FileReply(Errno.EINVAL, Diagnostic: Failure.Because(DiagnosticReason.FileOperationUnsupported, about: entry.Ref)));

    /// <summary>What can be done with the file that leads to an object. Interleaves with a running turn.</summary>
    /// <param name="scope">The context.</param>
    /// <param name="entry">The object.</param>
    /// <param name="wait">How long to wait for something to read.</param>
    public virtual ValueTask<PollReply> PollAsync(IoctlScope scope, ObjectEntry entry, TimeSpan wait)
        => ValueTask.FromResult(new PollReply(Errno.None, PollEvents.In | PollEvents.Out));

    /// <summary>The file that leads to an object, and holds it, is closed.</summary>
    public virtual ValueTask CloseFileAsync(IoctlScope scope, ObjectEntry entry) => ValueTask.CompletedTask;

    /// <summary>The kind of an entry.</summary>
    public static GrainKind Of(ObjectEntry entry) => (GrainKind)entry.Kind;
}
