using System.Runtime.InteropServices;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>Acts as another user: the kernel has an effective user for each thread, although libc hides that.</summary>
internal static partial class OtherUser
{
    private const uint Nobody = 65534, Unchanged = uint.MaxValue;

    private static nint SetEffectiveUser => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 147 : 117;

    /// <summary>Does something on a thread whose effective user is nobody. Only root can.</summary>
    public static async Task<T> RunAsync<T>(Func<T> action)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                Become(Nobody);
                done.SetResult(action());
            }
            catch (Exception exception)
            {
                done.SetException(exception);
            }
            finally
            {
                Become(0);
            }
        });
        thread.Start();
        return await done.Task;
    }

    private static void Become(uint user)
        => Assert.True(SystemCall(SetEffectiveUser, Unchanged, user, Unchanged) == 0, $"this thread becomes user {user}: {Marshal.GetLastPInvokeErrorMessage()}");

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, uint real, uint effective, uint saved);
}
