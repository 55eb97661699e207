namespace IommuFd.Grains.Contexts;

/// <inheritdoc cref="IHandoverBox"/>
/// <remarks>A transfer that nobody goes on with is dropped as any idle grain, so that a silo that died meanwhile leaves nothing behind.</remarks>
[CollectionAgeLimit(Minutes = 5)]
internal sealed class HandoverBox : Grain, IHandoverBox
{
    private readonly Queue<byte[]> _pieces = [];
    private int _added;

    public ValueTask<bool> AddAsync(int number, byte[] piece)
    {
        if (number != _added)
        {
            return ValueTask.FromResult(false);
        }

        _pieces.Enqueue(piece);
        _added++;
        return ValueTask.FromResult(true);
    }

    public ValueTask<byte[]?> TakeAsync(int number)
        => ValueTask.FromResult(number == _added - _pieces.Count && _pieces.TryDequeue(out var piece) ? piece : null);

    public Task EndAsync()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }
}
