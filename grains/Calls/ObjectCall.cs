using System.Runtime.CompilerServices;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Calls;

// Every ioctl on an object waits for one such call. Awaited directly, with the answer taken in GetResult, it costs the handler's
// own state machine only. An async method in between would add its own, and a further task on the grain's scheduler.

/// <summary>A call of an object's grain that is under way. It is awaited once, by the handler that made it.</summary>
internal readonly struct ObjectCall<TReply>(ObjectGrains grains, ObjectEntry entry, ObjectGrains.CalledGrain called, ValueTask<TReply> reply)
    where TReply : struct, IObjectReply<TReply>
{
    public Awaiter GetAwaiter() => new(grains, entry, called, reply.GetAwaiter());

    internal readonly struct Awaiter(ObjectGrains grains, ObjectEntry entry, ObjectGrains.CalledGrain called, ValueTaskAwaiter<TReply> call)
        : ICriticalNotifyCompletion
    {
        public bool IsCompleted => call.IsCompleted;

        public TReply GetResult() => grains.Complete(entry, called, call);

        public void OnCompleted(Action continuation) => call.OnCompleted(continuation);

        public void UnsafeOnCompleted(Action continuation) => call.UnsafeOnCompleted(continuation);
    }
}
